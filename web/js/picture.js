// A frame of half floats on a canvas by WebGL2: two layers with a wipe between them, exposure, false colour, clipping.

export const MODES = ['picture', 'compressed', 'false colour', 'clipping']
export const STOPS = { from: -10, to: 6 } // of the false colours, around display white
// One colour a stop, dark to bright: violet and blue for shadows, green around middle gray, red near white, pink above it.
export const BANDS = ['#1b0a33', '#2d1160', '#3b2c8f', '#3a4fb0', '#2f74bb', '#2a97b5', '#2eb59a', '#4fc46f', '#8bcb4b',
  '#c6c93c', '#f0a63a', '#ef7132', '#e0352f', '#f05ea0', '#f79ac8', '#fff0f8']

const VERTEX = `#version 300 es
in vec2 corner;
out vec2 place;
void main() {
  place = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}`

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
out vec4 colour;
uniform sampler2D left, right;
uniform bvec2 encoded, gray; // of the left and of the right layer
uniform float gain, wipe, bandsFrom;
uniform int mode;
uniform bool extended; // a canvas that shows light above white
uniform vec3 bands[${BANDS.length}];

vec3 display(vec3 light) {
  light = max(light, 0.0);
  if (!extended) light = min(light, 1.0);
  return mix(12.92 * light, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light));
}

vec3 shown(vec3 value, bool coded) {
  if (any(isnan(value)) || any(isinf(value))) return vec3(1.0, 0.0, 1.0);
  if (coded) return clamp(value, 0.0, 1.0);
  vec3 light = value * gain;
  if (mode == 1) return log(1.0 + 500.0 * clamp(light, 0.0, 64.0) / 64.0) / log(501.0);
  if (mode == 2) {
    float luminance = max(dot(light, vec3(0.2126, 0.7152, 0.0722)), 1e-9);
    return bands[int(clamp(floor(log2(luminance) - bandsFrom), 0.0, ${BANDS.length - 1}.0))];
  }
  if (mode == 3) {
    if (any(lessThan(light, vec3(0.0)))) return vec3(0.0, 0.4, 1.0);
    if (all(greaterThanEqual(light, vec3(1.0)))) return vec3(1.0, 0.0, 0.0);
    if (any(greaterThanEqual(light, vec3(1.0)))) return vec3(1.0, 0.7, 0.0);
    if (max(max(light.r, light.g), light.b) < 0.0005) return vec3(0.0, 0.2, 0.6);
    return vec3(dot(display(light), vec3(0.299, 0.587, 0.114)));
  }
  return display(light);
}

void main() {
  bool isLeft = place.x < wipe;
  vec4 value = isLeft ? texture(left, place) : texture(right, place);
  bool coded = isLeft ? encoded.x : encoded.y;
  if (isLeft ? gray.x : gray.y) value = value.rrra;
  colour = vec4(shown(value.rgb, coded), 1.0);
  if (wipe > 0.0 && wipe < 1.0 && abs(place.x - wipe) < 0.5 * fwidth(place.x) + 0.0005) colour = vec4(1.0);
}`

export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

export class Picture {
  // Throws an Error where the browser has no WebGL2.
  constructor(canvas) {
    const gl = canvas.getContext('webgl2', { preserveDrawingBuffer: true, antialias: false })
    if (!gl) throw new Error('this browser has no WebGL2, which the viewer needs')
    this.gl = gl
    this.canvas = canvas
    this.extended = this.#wide()
    this.program = this.#program()
    gl.useProgram(this.program)
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer())
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW)
    const corner = gl.getAttribLocation(this.program, 'corner')
    gl.enableVertexAttribArray(corner)
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0)
    this.textures = [0, 1].map(() => gl.createTexture())
    this.held = [null, null]
    const bands = BANDS.flatMap(hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255))
    gl.uniform3fv(this.#at('bands'), bands)
    gl.uniform1f(this.#at('bandsFrom'), STOPS.from)
    gl.uniform1i(this.#at('left'), 0)
    gl.uniform1i(this.#at('right'), 1)
  }

  #at(name) {
    return this.gl.getUniformLocation(this.program, name)
  }

  // True where this canvas shows light above white: a display with a high dynamic range, and a browser that offers it.
  #wide() {
    const { gl } = this
    if (!window.matchMedia?.('(dynamic-range: high)').matches) return false
    if (!gl.drawingBufferStorage || !gl.drawingBufferToneMapping || !gl.getExtension('EXT_color_buffer_half_float')) return false
    try {
      gl.drawingBufferStorage(gl.RGBA16F, this.canvas.width, this.canvas.height)
      gl.drawingBufferToneMapping({ mode: 'extended' })
      return true
    } catch {
      return false
    }
  }

  #program() {
    const { gl } = this, program = gl.createProgram()
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind)
      gl.shaderSource(shader, text)
      gl.compileShader(shader)
      gl.attachShader(program, shader)
    }
    gl.linkProgram(program)
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      const logs = gl.getAttachedShaders(program).map(shader => gl.getShaderInfoLog(shader))
      throw new Error(`the viewer's shader failed: ${[...logs, gl.getProgramInfoLog(program)].join(' ')}`)
    }
    return program
  }

  #load(unit, frame) {
    if (this.held[unit] === frame) return
    const { gl } = this
    gl.activeTexture(gl.TEXTURE0 + unit)
    gl.bindTexture(gl.TEXTURE_2D, this.textures[unit])
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
    const [inside, format] = frame.channels === 1 ? [gl.R16F, gl.RED] : [gl.RGB16F, gl.RGB]
    gl.texImage2D(gl.TEXTURE_2D, 0, inside, frame.width, frame.height, 0, format, gl.HALF_FLOAT, frame.data)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE)
    this.held[unit] = frame
  }

  // left, right: {data (Uint16Array of half floats), width, height, channels, encoded}. gain: factor of radiance. wipe: share of
  // the width that shows the left one. mode: index in MODES.
  draw(left, right, { gain, wipe, mode }) {
    const { gl, canvas } = this
    this.#load(0, left)
    this.#load(1, right)
    if (canvas.width !== right.width || canvas.height !== right.height) {
      canvas.width = right.width
      canvas.height = right.height
      if (this.extended) gl.drawingBufferStorage(gl.RGBA16F, canvas.width, canvas.height)
    }
    gl.viewport(0, 0, canvas.width, canvas.height)
    gl.uniform2i(this.#at('encoded'), left.encoded, right.encoded)
    gl.uniform2i(this.#at('gray'), left.channels === 1, right.channels === 1)
    gl.uniform1f(this.#at('gain'), gain)
    gl.uniform1f(this.#at('wipe'), wipe)
    gl.uniform1i(this.#at('mode'), mode)
    gl.uniform1i(this.#at('extended'), this.extended)
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4)
  }
}
