// An EXR file that is dropped on the canvas, or opened as a workflow, gives back the graph that Save HDR Sequence wrote into
// its header. All else, and EXR files without a graph, go on to the front end.
import { app } from '../../../scripts/app.js'

const MAGIC = 20000630
const MOST_HEADER = 64 << 20 // bytes

// The text attributes of the first part of an EXR file: {name: text}; null for another kind of file, or one that is cut short.
export function readTexts(buffer) {
  const view = new DataView(buffer)
  if (view.byteLength < 12 || view.getInt32(0, true) !== MAGIC) return null
  const utf8 = new TextDecoder()
  let position = 8
  const name = () => {
    const begin = position
    while (view.getUint8(position)) position++
    return utf8.decode(new Uint8Array(buffer, begin, position++ - begin))
  }
  const texts = {}
  try {
    while (view.getUint8(position)) {
      const key = name()
      const kind = name()
      const size = view.getInt32(position, true)
      position += 4
      if (size < 0 || position + size > view.byteLength) return null
      if (kind === 'string') texts[key] = utf8.decode(new Uint8Array(buffer, position, size))
      position += size
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
  return texts
}

// JSON as Python writes it: NaN is no JSON.
function parsed(text) {
  try {
    return text && JSON.parse(text.replace(/(?<=[:,[]\s*)-?(NaN|Infinity)(?=\s*[,\]}])/g, 'null'))
  } catch {
    return null
  }
}

async function loadGraphOf(file) {
  const texts = readTexts(await file.slice(0, MOST_HEADER).arrayBuffer())
  const title = file.name.replace(/\.\w+$/, '')
  const workflow = parsed(texts?.workflow)
  if (workflow?.nodes) {
    await app.loadGraphData(workflow, true, true, title)
    return true
  }
  const prompt = parsed(texts?.prompt) // of a run without a front end
  if (prompt && typeof prompt === 'object') {
    await app.loadApiJson(prompt, title)
    return true
  }
  return false
}

app.registerExtension({
  name: 'HDRWeave.ExrWorkflow',
  setup() {
    const before = app.handleFile
    app.handleFile = async function (file, ...rest) {
      if (/\.exr$/i.test(file?.name ?? '') && (await loadGraphOf(file))) return
      return before.call(this, file, ...rest)
    }
  },
})
