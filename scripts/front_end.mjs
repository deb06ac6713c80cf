// Drives ComfyUI's own front end in headless Chromium: node front_end.mjs ENGINE_FOLDER SERVER_URL JOBS.json
//
// JOBS.json: a list of jobs, done in one browser, each beginning with `load` (a saved workflow) or `build` (see `build`
// below), and then, as far as asked: `set` (node title -> widget -> value), `run` (press Run and wait), `probe` (the body of an
// async function that runs in the page), `screenshot` (a path), `vue` (Nodes 2.0 on), `view` ([width, height]; then the graph is
// seen as it opens, otherwise as a whole), `drop` (path of a file that is dropped on the canvas after the workflow was loaded).
// Writes JOBS.json.result: a list with one {workflow, prompt, missing, console, run, probed} for each job.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'
import { execFileSync } from 'node:child_process'

const [engine, base, jobsFile] = process.argv.slice(2)
const { chromium } = createRequire(path.resolve(engine, 'package.json'))('playwright-core')
const browser = ['chromium', 'chromium-browser', 'google-chrome'].map(which).find(Boolean)

function which(name) {
  try {
    return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}

async function openFrontEnd(profile) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browser, headless: true, viewport: { width: 2560, height: 1440 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
  await context.request.post(`${base}/api/settings`, { data: {
    'Comfy.TutorialCompleted': true, // otherwise the Templates dialog covers the canvas of a new user
    'Comfy.Minimap.Visible': false,
    'LiteGraph.Canvas.MinFontSizeForLOD': 0, // words stay readable when a large graph is seen as a whole
  } })
  await context.addInitScript(() => localStorage.setItem('vueNodesBannerDismissed', 'true'))
  const page = context.pages()[0]
  page.messages = []
  page.on('console', m => m.type() === 'error' && page.messages.push(`${m.text()} ${m.location().url}`))
  page.on('pageerror', e => page.messages.push(`${e.message} ${e.stack}`))
  await page.goto(base, { timeout: 180_000, waitUntil: 'domcontentloaded' })
  await page.waitForFunction(() => window.app?.graph && window.app.canvas && window.app.extensionManager, undefined, { timeout: 180_000 })
  await page.waitForTimeout(4000)
  return { context, page }
}

// Runs in the page. spec: {nodes: [{key, type, title, pos, size, widgets, text, color}], links: ["key.output -> key.input"],
// groups: [{title, bounding, color}], folds: [{nodes: [key], groups: [title], title, pos, size}], app: {inputs: ["key.widget"],
// outputs: [key]}}. Output and input are the names that the node shows; the nodes of a fold become one, a subgraph; `app` is what
// App Mode shows.
function build(spec) {
  const { graph } = window.app
  graph.clear()
  const nodes = {}
  for (const item of spec.nodes) {
    const node = window.LiteGraph.createNode(item.type)
    if (!node) throw new Error(`no node type ${item.type}`)
    graph.add(node)
    node.pos = item.pos
    if (item.title) node.title = item.title
    for (const [name, value] of Object.entries(item.widgets ?? {})) {
      const widget = node.widgets?.find(w => w.name === name)
      if (!widget) throw new Error(`${item.type} has no widget ${name}`)
      widget.value = value
    }
    if (item.text !== undefined) node.widgets[0].value = item.text
    const { color, bgcolor } = window.LGraphCanvas.node_colors[item.color] ?? {}
    Object.assign(node, { color, bgcolor })
    node.setSize(item.size ?? node.computeSize())
    nodes[item.key] = node
  }
  for (const link of spec.links) {
    const [from, to] = link.split('->').map(end => end.trim().split('.'))
    const output = nodes[from[0]]?.outputs.findIndex(o => o.name === from[1])
    const input = nodes[to[0]]?.inputs.findIndex(i => i.name === to[1])
    if (!(output >= 0 && input >= 0)) throw new Error(`nothing to link: ${link}`)
    nodes[from[0]].connect(output, nodes[to[0]], input)
  }
  const groups = {}
  for (const item of spec.groups ?? []) {
    const group = new window.LiteGraph.LGraphGroup(item.title)
    group.pos = item.bounding.slice(0, 2)
    group.size = item.bounding.slice(2)
    group.color = item.color ?? group.color
    graph.add(group)
    groups[item.title] = group
  }
  for (const fold of spec.folds ?? []) {
    const items = [...fold.nodes.map(key => nodes[key]), ...(fold.groups ?? []).map(title => groups[title])]
    const { subgraph, node } = graph.convertToSubgraph(new Set(items))
    subgraph.name = node.title = fold.title
    if (fold.pos) node.pos = fold.pos
    if (fold.size) node.setSize(fold.size)
  }
  const keys = Object.fromEntries(Object.entries(nodes).map(([key, node]) => [key, node.id]))
  if (spec.app) graph.extra.linearData = {
    inputs: spec.app.inputs.map(place => place.split('.')).map(([key, name]) => [keys[key], name]),
    outputs: spec.app.outputs.map(key => keys[key]),
  }
}

function setWidgets(settings) {
  for (const [title, values] of Object.entries(settings))
    for (const node of window.app.graph._nodes.filter(n => n.title === title))
      for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value
}

async function pressRun(context, page) {
  const before = Object.keys(await (await context.request.get(`${base}/api/history`)).json())
  await page.getByTestId('queue-button').click()
  for (;;) {
    const history = await (await context.request.get(`${base}/api/history`)).json()
    const done = Object.entries(history).find(([id]) => !before.includes(id))
    if (done) {
      await page.waitForTimeout(1500) // pictures arrive on the nodes
      const shown = await page.evaluate(() => window.app.graph._nodes.filter(n => n.imgs?.length).map(n => n.title))
      return { status: done[1].status.status_str, messages: done[1].status.messages, shown }
    }
    await page.waitForTimeout(250)
  }
}

async function dropped(page, file) {
  const content = fs.readFileSync(file).toString('base64')
  await page.evaluate(async ({ name, content }) => {
    const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0))
    const transfer = new DataTransfer()
    transfer.items.add(new File([bytes], name))
    const canvas = window.app.canvas.canvas
    const event = { bubbles: true, cancelable: true, dataTransfer: transfer, clientX: 900, clientY: 700 }
    canvas.dispatchEvent(new DragEvent('dragover', event))
    canvas.dispatchEvent(new DragEvent('drop', event))
  }, { name: path.basename(file), content })
  await page.waitForTimeout(1500)
}

async function work(job, context, page) {
  page.messages.length = 0
  if (job.view) await page.setViewportSize({ width: job.view[0], height: job.view[1] })
  await page.evaluate(on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on), Boolean(job.vue))
  if (job.build) await page.evaluate(build, job.build)
  else await page.evaluate(graph => window.app.loadGraphData(graph), JSON.parse(fs.readFileSync(job.load)))
  if (job.drop) await dropped(page, job.drop)
  await page.waitForTimeout(500)
  const workflow = await page.evaluate(() => window.app.graph.serialize())
  if (job.set) await page.evaluate(setWidgets, job.set)
  const prompt = await page.evaluate(async () => (await window.app.graphToPrompt()).output)
  const missing = await page.evaluate(() =>
    window.app.graph._nodes.filter(n => !window.LiteGraph.registered_node_types[n.type]).map(n => n.type))
  if (!job.view) await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView'))
  const run = job.run ? await pressRun(context, page) : null
  const probed = job.probe ? await page.evaluate(text => new Function(`return (async () => {${text}})()`)(), job.probe) : null
  await page.waitForTimeout(500)
  if (job.screenshot) await page.screenshot({ path: job.screenshot })
  return { workflow, prompt, missing, run, probed, console: [...page.messages] }
}

const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'front-end-'))
const { context, page } = await openFrontEnd(profile)
const results = []
try {
  for (const job of JSON.parse(fs.readFileSync(jobsFile))) results.push(await work(job, context, page))
} finally {
  await context.close()
  fs.rmSync(profile, { recursive: true, force: true })
}
fs.writeFileSync(jobsFile + '.result', JSON.stringify(results))
