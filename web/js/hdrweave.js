// What the pack adds to ComfyUI's front end: the viewer, the loader's files, and what old workflows expect.
import { app } from '../../../scripts/app.js'
import { LOADER, Source, takeDrops } from './loader.js'
import { Viewer } from './viewer.js'

// Inputs that came later and change what a node does: their value in files that were saved before.
const BEFORE = { HDRWeave_ExposureNormalization: { wrong_pattern: 'go on' } }

// Colours of the pack's wires, so that a graph is read by them.
const WIRES = {
  HDRWEAVE_EXPOSURES: '#e0a526', HDRWEAVE_FLOW: '#4fb3a4', HDRWEAVE_CANDIDATES: '#b07ad9', HDRWEAVE_ANCHORED: '#d9784e',
  HDRWEAVE_MODEL: '#8f9bb3',
}

function colourWires() {
  for (const [type, colour] of Object.entries(WIRES)) {
    app.canvas.default_connection_color_byType[type] = colour
    window.LGraphCanvas.link_type_colors[type] = colour
    document.documentElement.style.setProperty(`--color-datatype-${type}`, colour) // Nodes 2.0
  }
}

function keepOldFiles(node, values) {
  node.onConfigure = after(node.onConfigure, stored => {
    const saved = stored?.widgets_values
    if (!Array.isArray(saved)) return
    const widgets = node.widgets.filter(widget => widget.serialize !== false)
    for (const [name, value] of Object.entries(values)) {
      const place = widgets.findIndex(widget => widget.name === name)
      if (place >= saved.length) widgets[place].value = value
    }
  })
}

// Inputs whose name does not say what its special values mean are shown with words that do: older front ends take them from
// a translation only.
function nameInputs(node) {
  const inputs = node.constructor.nodeData?.input ?? {}
  for (const widget of node.widgets ?? []) {
    const shown = (inputs.required?.[widget.name] ?? inputs.optional?.[widget.name])?.[1]?.display_name
    if (shown && (widget.label ?? widget.name) === widget.name) widget.label = shown
  }
}

// Older servers do not pass on what to search nodes by; front ends of 2026 look for it.
async function addSearchWords(definitions) {
  const reply = await fetch(new URL('../search_words.json', import.meta.url))
  const words = reply.ok ? await reply.json() : {}
  for (const [name, aliases] of Object.entries(words)) if (definitions[name]) definitions[name].search_aliases ??= aliases
}

function view(node) {
  const viewer = new Viewer(node)
  const show = output => output?.hdrweave_viewer?.[0] && viewer.show(output.hdrweave_viewer[0])
  node.onExecuted = after(node.onExecuted, show)
  node.onConfigure = after(node.onConfigure, () => setTimeout(() => show(app.nodeOutputs?.[node.id]), 0)) // another tab and back
  node.setSize([Math.max(node.size[0], 480), Math.max(node.size[1], 640)])
}

function load(node) {
  node.previewMediaType = 'image' // its VIDEO socket makes Nodes 2.0 take its pictures for a video
  node.hdrweaveSource = new Source(node)
  node.onConfigure = after(node.onConfigure, () => node.hdrweaveSource.show())
}

function after(first, then) {
  return function (...given) {
    const result = first?.apply(this, given)
    then(...given)
    return result
  }
}

app.registerExtension({
  name: 'HDRWeave',
  setup: takeDrops,
  addCustomNodeDefs: addSearchWords,
  afterConfigureGraph: colourWires,
  nodeCreated(node) {
    const kind = node.constructor.comfyClass ?? node.comfyClass
    if (!kind?.startsWith('HDRWeave_')) return
    colourWires() // a palette that is loaded later takes them away
    nameInputs(node)
    if (BEFORE[kind]) keepOldFiles(node, BEFORE[kind])
    if (kind === LOADER) load(node)
    if (kind === 'HDRWeave_HDRViewer') view(node)
  },
})
