"""What tests ask of a page of ComfyUI's front end: bodies of async functions, for `probe` of scripts/front_end.mjs."""

LOADER = "Load Alternating Exposures"
HARMLESS = ("user.css", "api.comfy.org", "Content Security Policy")  # the front end's own, without a network

VIEWER = """
const viewer = document.querySelector('.hdrweave-viewer').viewer
for (let i = 0; i < 100 && !viewer.shown; i++) await new Promise(done => setTimeout(done, 100))
const { canvas } = viewer, x = Math.floor(canvas.width / 2), y = Math.floor(canvas.height / 2), pixel = new Uint8Array(4)
const shown = () => {
  const { gl } = viewer.picture
  gl.readPixels(x, canvas.height - 1 - y, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel)
  return [...pixel].slice(0, 3)
}
await viewer.set({ wipe: 0, ev: -1, mode: 0, frame: 3 })
const { values } = viewer.value(1, (x + 0.5) / canvas.width, (y + 0.5) / canvas.height), { gain, layers } = viewer.about
const found = { value: values, gain, dark: shown(), layers: layers.map(layer => layer.name) }
await viewer.set({ ev: 12, mode: 3 })
return { ...found, clipped: shown(), frames: layers[0].files.length }
"""

DROP = """
const name = '<img src=x onerror=window.hacked=1>.mp4', transfer = new DataTransfer()
transfer.items.add(new File([new Uint8Array([1, 2, 3])], name, { type: 'video/mp4' }))
app.canvas.ds.offset[0] -= 20000 // where there is no node
const box = app.canvas.canvas.getBoundingClientRect()
const at = { clientX: box.left + box.width - 300, clientY: box.top + box.height - 200 }
app.canvas.canvas.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true, ...at }))
let node
for (let i = 0; i < 400 && !node; i++) {
  await new Promise(done => setTimeout(done, 100))
  node = app.graph._nodes.find(made => made.hdrweaveSource?.path.value.includes('onerror'))
}
const source = node.hdrweaveSource, serialized = node.serialize()
return { path: source.path.value, words: source.name.textContent, hacked: window.hacked ?? 0, serialized,
  labels: Object.fromEntries(node.widgets.map(widget => [widget.name, widget.label ?? widget.name])),
  searched: window.LiteGraph.registered_node_types.HDRWeave_ReconstructHDR.nodeData.search_aliases,
  wire: app.canvas.default_connection_color_byType.HDRWEAVE_EXPOSURES }
"""
