// DOM elements of the pack's widgets. Words are always set as text, never as HTML: file names are the user's.

// make('div', {title: 'x', style: {…}}, child, 'text' …)
export function make(kind, properties = {}, ...children) {
  const { style, on, ...rest } = properties
  const element = Object.assign(document.createElement(kind), rest)
  Object.assign(element.style, style)
  for (const [event, listener] of Object.entries(on ?? {})) element.addEventListener(event, listener)
  element.append(...children)
  return element
}

export function choice(options, chosen, changed, title) {
  const select = make('select', { title, style: LOOK, on: { change: () => changed(select.value) } })
  fill(select, options, chosen)
  return select
}

export function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make('option', { value, textContent: text })))
  select.value = chosen
}

export function slider(min, max, step, value, changed, title) {
  const input = make('input', { type: 'range', min, max, step, title, style: { flex: '1', minWidth: '60px' } })
  input.value = value
  input.addEventListener('input', () => changed(Number(input.value)))
  return input
}

export function button(words, pressed, title) {
  return make('button', { type: 'button', textContent: words, title, style: { ...LOOK, cursor: 'pointer' }, on: { click: pressed } })
}

export const ROW = { display: 'flex', alignItems: 'center', gap: '6px', flexShrink: '0' }
const LOOK = {
  background: 'var(--comfy-input-bg, #222)', color: 'var(--input-text, #ddd)', border: '1px solid var(--border-color, #4e4e4e)',
  borderRadius: '4px', padding: '2px 6px', font: 'inherit', maxWidth: '46%', minWidth: '0',
}

// An element as a widget of a node, in both renderers, not saved. The canvas gets no pointer event that it handles itself.
export function addElement(node, name, element, minHeight) {
  for (const event of ['pointerdown', 'mousedown', 'dblclick', 'contextmenu'])
    element.addEventListener(event, e => e.stopPropagation())
  const widget = node.addDOMWidget(name, `hdrweave_${name}`, element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => minHeight, getValue: () => '', setValue: () => {},
  })
  widget.serialize = false // neither in the workflow nor in the prompt
  return widget
}
