// Files of the loader Load Alternating Exposures: picked, uploaded or dropped, with a preview before the first run.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { addElement, button, choice, fill, make, ROW } from './elements.js'

export const LOADER = 'HDRWeave_LoadAlternatingExposures'
const VIDEOS = ['mp4', 'mov', 'mkv', 'webm', 'avi', 'm4v', 'mxf', 'mts', 'm2ts', 'ts', 'mpg', 'mpeg', 'wmv', 'flv', 'ogv', '3gp']
const STILLS = ['png', 'tif', 'tiff', 'jpg', 'jpeg', 'exr', 'hdr', 'dng', 'webp', 'bmp', 'cr2', 'cr3', 'nef', 'arw', 'raf', 'rw2', 'orf']
const SHOWN = ['png', 'jpg', 'jpeg', 'webp', 'bmp'] // stills that browsers show
const SAMPLES = 'sample_' // shipped with the pack, served among its templates

const ending = name => name.split('.').pop().toLowerCase()
const isVideo = name => VIDEOS.includes(ending(name)), isStill = name => STILLS.includes(ending(name))

// Sends files to ComfyUI's input folder; the path for the loader: the file, or the folder of several stills.
export async function upload(files, report = () => {}) {
  const several = files.length > 1, subfolder = several ? folderName(files) : ''
  let path = ''
  for (const [k, file] of files.entries()) {
    report(`uploading ${k + 1} of ${files.length} …`)
    const body = new FormData()
    body.append('image', file, file.name)
    body.append('subfolder', subfolder)
    const reply = await api.fetchApi('/upload/image', { method: 'POST', body })
    if (reply.status === 413) throw new Error(`${file.name} is larger than this server takes: write its path instead`)
    if (!reply.ok) throw new Error(`${file.name} was not taken (${reply.status} ${reply.statusText})`)
    const taken = await reply.json()
    path = several ? taken.subfolder : [taken.subfolder, taken.name].filter(Boolean).join('/')
  }
  return path
}

function folderName(files) {
  const stem = files[0].name.replace(/\.[^.]*$/, '').replace(/[^\w-]+/g, '_').replace(/_?\d+$/, '') || 'stills'
  return `hdrweave/${stem}_${new Date().toISOString().slice(0, 19).replace(/\D/g, '')}`
}

// The clip among dropped things: one video, or all stills, those of a folder too, in the order of their names; [] for none.
export async function clipIn(transfer) {
  const entries = [...(transfer?.items ?? [])].map(item => item.webkitGetAsEntry?.()).filter(Boolean)
  const plain = [...(transfer?.files ?? [])] // read before the first await: a drop forgets them after it
  const folders = entries.filter(entry => entry.isDirectory)
  const files = folders.length ? (await Promise.all(folders.map(filesOf))).flat() : plain
  const video = files.find(file => isVideo(file.name))
  if (video) return [video]
  return files.filter(file => isStill(file.name)).sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

async function filesOf(folder) {
  const reader = folder.createReader(), found = []
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (!part.length) break
    found.push(...part.filter(entry => entry.isFile))
  }
  return Promise.all(found.map(entry => new Promise((resolve, reject) => entry.file(resolve, reject))))
}

// A path as the loader reads it: file explorers copy it in quotes. type: the folder of ComfyUI that "clip.mp4 [output]" names.
export function written(text) {
  const path = String(text ?? '').trim().replace(/^"+|"+$/g, ''), named = /^(.*?) \[(input|output|temp)\]$/.exec(path)
  return named ? { path: named[1], type: named[2] } : { path, type: 'input' }
}

// Where the browser finds the file of a path; null for one outside the folders that the server shows.
export function address({ path, type }) {
  if (!path || /^([/\\~]|[a-z]:)/i.test(path) || path.includes('..')) return null
  if (path.startsWith(SAMPLES)) return api.apiURL(`/workflow_templates/hdrweave/assets/${encodeURIComponent(path)}`)
  const parts = path.split(/[\\/]/), filename = parts.pop()
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder: parts.join('/'), type })}`)
}

export class Source {
  constructor(node) {
    this.node = node
    this.path = node.widgets.find(widget => widget.name === 'path')
    this.picker = make('input', { type: 'file', multiple: true, style: { display: 'none' },
      accept: [...VIDEOS, ...STILLS].map(e => `.${e}`).join(','), on: { change: () => this.#take([...this.picker.files]) } })
    this.known = choice([['', 'input folder']], '', name => name && this.set(name), 'Pick a clip from ComfyUI\'s input folder')
    this.known.addEventListener('pointerdown', () => this.#list())
    this.known.addEventListener('focus', () => this.#list())
    const send = button('upload …', () => this.picker.click(), 'A video, or all stills of a clip; or drop them on this node')
    // the end of a long path is what tells clips apart: cut at its beginning
    this.name = make('div', { style: { direction: 'rtl', textAlign: 'left', overflow: 'hidden', textOverflow: 'ellipsis',
      whiteSpace: 'nowrap', flexShrink: '0' } })
    this.words = make('div', { style: { flexShrink: '0', opacity: '0.8' } })
    this.stage = make('div', { style: { flex: '1', minHeight: '90px', display: 'flex', justifyContent: 'center', background: '#0004' } })
    this.root = make('div', { className: 'hdrweave-source', style: { display: 'flex', flexDirection: 'column', gap: '4px', width: '100%',
      height: '100%', font: '12px sans-serif', color: 'var(--input-text, #ddd)' } },
    make('div', { style: ROW }, send, this.known, this.picker), this.name, this.stage, this.words)
    this.root.source = this
    addElement(node, 'source', this.root, 190)
    const changed = this.path.callback
    this.path.callback = (...given) => {
      changed?.apply(this.path, given)
      this.show()
    }
    node.onDragOver = event => [...(event.dataTransfer?.items ?? [])].some(item => item.kind === 'file')
    node.onDragDrop = async event => {
      const files = await clipIn(event.dataTransfer)
      if (files.length) this.#take(files)
      return files.length > 0
    }
    this.show()
  }

  set(path) {
    this.path.value = path
    this.path.callback?.(path)
    app.graph.setDirtyCanvas(true, true)
  }

  async #take(files) {
    const clip = files.find(file => isVideo(file.name))
    const chosen = clip ? [clip] : files.filter(file => isStill(file.name))
    if (!chosen.length) {
      this.words.textContent = 'neither a video nor stills'
      return
    }
    await this.take(chosen)
  }

  async take(files) {
    try {
      this.set(await upload(files, words => (this.words.textContent = words)))
    } catch (error) {
      this.words.textContent = error.message
    }
  }

  async #list() {
    const reply = await api.fetchApi('/internal/files/input').catch(() => null)
    const names = reply?.ok ? (await reply.json()).map(name => name.replace(/ \[input\]$/, '')) : []
    const clips = names.filter(name => isVideo(name) || isStill(name))
    fill(this.known, [['', clips.length ? 'input folder' : 'no clips there'], ...clips.map(name => [name, name])],
      clips.includes(this.path.value) ? this.path.value : '')
  }

  show() {
    const value = String(this.path.value ?? ''), { path, type } = written(value), url = address({ path, type })
    this.name.textContent = path ? `\u200e${path}` : ''
    this.name.title = path
    if (value === this.shown) return
    this.shown = value
    this.stage.replaceChildren()
    this.words.textContent = ''
    if (!path) this.words.textContent = 'Drop a clip here, upload or pick one, or write its path above.'
    else if (!url) this.words.textContent = 'a file outside the input folder: its frames are shown after Run'
    else if (isVideo(path)) this.#video(url)
    else if (SHOWN.includes(ending(path))) this.stage.append(make('img', { src: url, style: FIT }))
    else this.words.textContent = isStill(path) ? 'browsers do not show this format: its frames are shown after Run' : 'a folder of stills'
  }

  #video(url) {
    const video = make('video', { src: url, controls: true, muted: true, loop: true, preload: 'metadata', style: FIT })
    video.addEventListener('loadedmetadata', () => {
      this.words.textContent = `${video.videoWidth}x${video.videoHeight}, ${video.duration.toFixed(2)} s`
    })
    video.addEventListener('error', () => {
      if (this.stage.firstChild !== video) return // another file is shown by now
      this.words.textContent = 'no preview: not found, or the browser does not play it; the loader may read it all the same'
    })
    this.stage.append(video)
  }
}

const FIT = { maxWidth: '100%', maxHeight: '100%', objectFit: 'contain' }

// True where a file carries a workflow, which ComfyUI opens itself. Containers have it at the beginning or at the end.
async function hasWorkflow(file) {
  const reach = 2 ** 20
  const text = async part => new TextDecoder('latin1').decode(await part.arrayBuffer())
  const found = (await text(file.slice(0, reach))) + (await text(file.slice(Math.max(file.size - reach, 0))))
  return found.includes('"last_node_id"') || found.includes('"class_type"')
}

// A clip dropped on the empty canvas makes a loader there: a video, a folder of stills, or several of them.
export function takeDrops() {
  document.addEventListener('drop', event => {
    const canvas = app.canvas?.canvas
    if (!canvas?.parentElement.contains(event.target) || event.target.closest('[data-node-id]')) return
    const where = app.canvas.convertEventToCanvasOffset(event)
    if (app.graph.getNodeOnPos(where[0], where[1])) return // that node's
    const files = [...(event.dataTransfer?.files ?? [])]
    const folder = [...(event.dataTransfer?.items ?? [])].some(item => item.webkitGetAsEntry?.()?.isDirectory)
    const video = files.find(file => isVideo(file.name))
    if (!folder && !video && files.filter(file => isStill(file.name)).length < 2) return // one picture is ComfyUI's
    event.preventDefault()
    event.stopImmediatePropagation()
    const taken = clipIn(event.dataTransfer)
    taken.then(async clip => {
      if (!clip.length) return
      if (video && (await hasWorkflow(video))) return app.handleFile(video)
      const node = window.LiteGraph.createNode(LOADER)
      node.pos = where
      app.graph.add(node)
      await node.hdrweaveSource?.take(clip)
    }).catch(error => console.error('HDRWeave:', error))
  }, { capture: true })
}
