// The viewer in the node HDR Viewer: what nodes/viewer.py wrote, on a canvas with its controls.
import { api } from '../../../scripts/api.js'
import { addElement, button, choice, fill, make, ROW, slider } from './elements.js'
import { BANDS, halfToNumber, MODES, Picture, STOPS } from './picture.js'

const FRAMES_KEPT = 48 // decoded frames in memory, of all layers together
const MODE_TITLE = 'picture: light above white clips; compressed: all of the range, mu-law; false colour: a colour for every stop; ' +
  'clipping: red all channels, orange some, blue black or negative'

export class Viewer {
  constructor(node) {
    this.about = null
    this.frames = new Map()
    this.state = { frame: 0, ev: 0, wipe: 0, mode: 0, left: 0, right: 0 }
    this.canvas = make('canvas', { width: 16, height: 9, style: { display: 'block', width: '100%', margin: 'auto',
      cursor: 'crosshair', touchAction: 'none' } })
    this.stage = make('div', { style: { flex: '1', minHeight: '320px', display: 'flex', background: '#000', overflow: 'hidden',
      containerType: 'size' } }, this.canvas)
    this.words = make('div', { textContent: 'Press Run to see frames here.', style: { minHeight: '2.6em', whiteSpace: 'pre-line',
      fontFamily: 'monospace', fontSize: '11px', flexShrink: '0' } })
    this.#controls()
    this.root = make('div', { className: 'hdrweave-viewer', style: { display: 'flex', flexDirection: 'column', gap: '4px', height: '100%',
      width: '100%', font: '12px sans-serif', color: 'var(--input-text, #ddd)', background: 'var(--comfy-menu-bg, #202020)' } },
    make('div', { style: ROW }, this.left, this.right, this.mode, this.full), this.stage, this.legend,
    make('div', { style: ROW }, this.evText, this.ev), make('div', { style: ROW }, this.play, this.frameText, this.frame),
    make('div', { style: ROW }, 'wipe', this.wipe), this.words)
    this.root.viewer = this // for tests and for the curious
    this.widget = addElement(node, 'viewer', this.root, 470)
    this.canvas.addEventListener('pointermove', e => this.#pointed(e))
    this.canvas.addEventListener('pointerdown', e => this.#pointed(e, true))
    const removed = node.onRemoved
    node.onRemoved = (...given) => {
      clearInterval(this.timer)
      return removed?.apply(node, given)
    }
  }

  #controls() {
    const set = name => value => this.set({ [name]: Number(value) })
    this.left = choice([], '', set('left'), 'Layer on the left of the wipe')
    this.right = choice([], '', set('right'), 'Layer on the right of the wipe')
    this.mode = choice(MODES.map((name, k) => [k, name]), 0, set('mode'), MODE_TITLE)
    this.full = button('full', () => (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen()), 'Full screen')
    this.ev = slider(-12, 12, 0.1, 0, set('ev'), 'Exposure in EV, higher is brighter; it changes no file')
    this.ev.addEventListener('dblclick', () => this.set({ ev: 0 }))
    this.evText = make('span', { style: { minWidth: '62px' } }, '0.0 EV')
    this.frame = slider(0, 0, 1, 0, set('frame'), 'Frame')
    this.frameText = make('span', { style: { minWidth: '74px' } }, 'frame')
    this.play = button('▶', () => this.#playing(), 'Play')
    this.wipe = slider(0, 1, 0.002, 0, set('wipe'), 'Share of the left layer; or drag in the picture')
    const labels = [STOPS.from, -5, 0, STOPS.to].map(stop => make('span', {}, `${stop > 0 ? '+' : ''}${stop}`))
    this.legend = make('div', { title: 'Stops around white', style: { display: 'none', justifyContent: 'space-between', padding: '0 4px',
      color: '#fff', textShadow: '0 0 3px #000', flexShrink: '0', background: `linear-gradient(to right, ${BANDS.map((c, k) =>
        `${c} ${(100 * k) / BANDS.length}% ${(100 * (k + 1)) / BANDS.length}%`).join(', ')})` } }, ...labels)
  }

  // about: what the node returned as `hdrweave_viewer`.
  async show(about) {
    try {
      this.picture ??= new Picture(this.canvas)
    } catch (error) {
      this.words.textContent = error.message
      return
    }
    this.about = about
    this.frames.clear()
    const { width, height } = about.layers[0] // as large as the stage allows, of small clips too
    this.canvas.style.aspectRatio = `${width} / ${height}`
    this.canvas.style.width = `min(100cqw, ${(100 * width) / height}cqh)`
    const names = about.layers.map((layer, k) => [k, layer.name]), last = about.layers[0].files.length - 1
    this.frame.max = last
    const kept = k => (k < names.length ? k : 0), before = this.state
    const fresh = before.left === before.right // nothing chosen yet: the frame as captured, or another result, beside the result
    const state = { left: fresh && names.length > 1 ? 1 : kept(before.left), right: kept(before.right), frame: Math.min(before.frame, last) }
    fill(this.left, names, state.left)
    fill(this.right, names, state.right)
    await this.set({ ...state, wipe: names.length > 1 ? before.wipe || 0.5 : 0 })
  }

  async set(changes) {
    Object.assign(this.state, changes)
    const { state } = this
    for (const name of ['ev', 'wipe', 'frame', 'mode', 'left', 'right']) this[name].value = state[name]
    this.evText.textContent = `${state.ev > 0 ? '+' : ''}${state.ev.toFixed(1)} EV`
    this.legend.style.display = state.mode === 2 ? 'flex' : 'none'
    if (!this.about) return
    this.frameText.textContent = `frame ${this.about.start + state.frame}`
    const asked = (this.asked = Symbol('asked')) // a later change makes this one obsolete
    try {
      const shown = await Promise.all([this.#frame(state.left), this.#frame(state.right)])
      if (asked !== this.asked) return
      this.shown = shown
      this.picture.draw(...shown, { gain: this.about.gain * 2 ** state.ev, wipe: state.wipe, mode: state.mode })
      this.#report()
    } catch (error) {
      this.words.textContent = `${error.message}: press Run again`
    }
  }

  async #frame(layer) {
    const { files, width, height, channels, encoded } = this.about.layers[layer]
    const name = files[this.state.frame]
    if (!this.frames.has(name)) {
      const where = new URLSearchParams({ filename: name, subfolder: this.about.subfolder, type: this.about.type })
      const reply = await api.fetchApi(`/view?${where}`)
      if (!reply.ok) throw new Error('the frames are no longer on the server')
      const data = new Uint16Array(await reply.arrayBuffer())
      if (data.length !== width * height * channels) throw new Error('a frame is not complete')
      this.frames.set(name, { data, width, height, channels, encoded })
      if (this.frames.size > FRAMES_KEPT) this.frames.delete(this.frames.keys().next().value)
    }
    return this.frames.get(name)
  }

  #pointed(event, down = false) {
    if (!this.shown) return
    const box = this.canvas.getBoundingClientRect()
    this.at = [event.clientX - box.left, event.clientY - box.top].map((v, k) => v / (k ? box.height : box.width))
    if ((down || event.buttons & 1) && this.about.layers.length > 1) this.set({ wipe: Math.min(Math.max(this.at[0], 0), 1) })
    else this.#report()
  }

  // Values of both layers under the pointer, as stored.
  value(layer, x, y) {
    const { data, width, height, channels } = this.shown[layer]
    const column = Math.min(Math.floor(x * width), width - 1), row = Math.min(Math.floor(y * height), height - 1)
    const at = (row * width + column) * channels
    return { column, row, values: Array.from(data.subarray(at, at + channels), halfToNumber) }
  }

  #report() {
    if (!this.at || !this.shown) {
      this.words.textContent = `${this.about.layers.length} layers, ${this.shown[1].width}x${this.shown[1].height}`
      return
    }
    const lines = [0, 1].filter(k => k || this.state.left !== this.state.right).map(k => {
      const { column, row, values } = this.value(k, ...this.at), layer = this.about.layers[this.state[k ? 'right' : 'left']]
      const light = values.length === 3 ? 0.2126 * values[0] + 0.7152 * values[1] + 0.0722 * values[2] : values[0]
      const stops = layer.encoded || !(light > 0) ? '' : `  ${Math.log2(light * this.about.gain).toFixed(1)} EV`
      return `${column},${row} ${layer.name}: ${values.map(v => v.toPrecision(4)).join(' ')}${stops}`
    })
    this.words.textContent = lines.join('\n')
  }

  #playing() {
    clearInterval(this.timer)
    this.timer = this.play.textContent === '▶' && this.about
      ? setInterval(() => this.set({ frame: (this.state.frame + 1) % (Number(this.frame.max) + 1) }), 125) : null
    this.play.textContent = this.timer ? '■' : '▶'
  }
}
