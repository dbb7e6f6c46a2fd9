// Draws an array of numbers on a canvas: colours, limits, zoom. On the GPU where there is one (WebGL2), else plainly.

import { DUPLICATE, FAILED, hasValue, level, MISSING, PASSED, PENDING, REJECTED } from "./levels.js";

export const MAPS = ["viridis", "magma", "inferno", "cividis", "grey", "twilight", "wheel"];
// Red, green, blue of what is no value; the same in the map of frames and its legend.
export const MARKS = {
  [PENDING]: [26, 31, 38], [MISSING]: [255, 79, 123], [PASSED]: [74, 62, 42], [REJECTED]: [255, 150, 60], [FAILED]: [178, 102, 255],
  [DUPLICATE]: [80, 190, 255],
};
const OUTSIDE = [7, 9, 11], NO_NUMBER = [48, 48, 48];

const SHADER = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D data, colours, coverage;
uniform ivec2 size;
uniform vec4 view;
uniform vec2 canvas, limits;
uniform vec3 turn;
uniform float gamma;
uniform int scale, hasCoverage, isVector;
uniform vec3 marks[6];
uniform vec3 outside, noNumber;
out vec4 colour;
float level(float value) {
  if (scale == 1) return log(1.0 + max(0.0, value - limits.x)) / log(1.0 + limits.y - limits.x);
  float share = clamp((value - limits.x) / (limits.y - limits.x), 0.0, 1.0);
  return scale == 2 ? pow(share, gamma) : share;
}
void main() {
  vec2 corner = vec2(gl_FragCoord.x, canvas.y - gl_FragCoord.y) / canvas;
  vec2 place = view.xy + corner * view.zw;
  ivec2 at = ivec2(floor(place));
  if (at.x < 0 || at.y < 0 || at.x >= size.x || at.y >= size.y) { colour = vec4(outside, 1.0); return; }
  vec4 value = texelFetch(data, at, 0);
  if (hasCoverage == 1) {
    int code = int(texelFetch(coverage, at, 0).r * 255.0 + 0.5);
    if (code != 1 && code != 6) {
      bool stripe = code == 3 && mod(gl_FragCoord.x + gl_FragCoord.y, 10.0) < 7.0;
      colour = vec4(stripe ? marks[0] : marks[code], 1.0);
      return;
    }
  }
  if (!(value.x == value.x)) { colour = vec4(noNumber, 1.0); return; }
  if (isVector == 1) {
    float y = value.x * turn.z;
    vec2 turned = vec2(turn.y * y + turn.x * value.y, turn.y * value.y - turn.x * y);
    float share = fract(atan(turned.x, turned.y) / 6.283185307 + 0.5);
    vec3 hue = texelFetch(colours, ivec2(int(share * 255.0 + 0.5), 0), 0).rgb;
    colour = vec4(hue * clamp(level(length(value.xy)), 0.0, 1.0), 1.0);
    return;
  }
  colour = vec4(texelFetch(colours, ivec2(int(clamp(level(value.x), 0.0, 1.0) * 255.0 + 0.5), 0), 0).rgb, 1.0);
}`;
const CORNERS = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

let tables = null;

// The colour maps: 256 times red, green, blue for each, in the order of MAPS.
export async function loadColours() {
  const bytes = new Uint8Array(await (await fetch("colourmaps.bin")).arrayBuffer());
  tables = Object.fromEntries(MAPS.map((name, index) => [name, bytes.subarray(index * 768, (index + 1) * 768)]));
}

export function colourTable(name) { return tables[name]; }

// What is to be drawn: values ([rows, columns] or [rows, columns, 2]), coverage, colour map, limits, scale, gamma,
// rotation (degrees) and flip of vectors.
export function makePicture(canvas) {
  const allowsGPU = new URLSearchParams(location.search).get("render") !== "2d";
  const gl = allowsGPU ? canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true }) : null;
  return gl ? new GPUPicture(canvas, gl) : new PlainPicture(canvas);
}

class GPUPicture {
  constructor(canvas, gl) {
    Object.assign(this, { canvas, gl, kind: "WebGL2" });
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.content = null; });
    this.prepare();
  }

  prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, CORNERS], [gl.FRAGMENT_SHADER, SHADER]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = (name) => gl.getUniformLocation(program, name);
    this.textures = ["data", "colours", "coverage"].map((name, unit) => {
      const texture = gl.createTexture();
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      for (const [key, value] of [
        [gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
        [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
      ]) gl.texParameteri(gl.TEXTURE_2D, key, value);
      gl.uniform1i(this.at(name), unit);
      return texture;
    });
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.table = null;
  }

  upload(unit, inner, width, height, outer, type, bytes) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.texImage2D(gl.TEXTURE_2D, 0, inner, width, height, 0, outer, type, bytes);
  }

  draw(content, look, view) {
    const { gl, canvas } = this;
    if (gl.isContextLost()) return;
    const { rows, columns, components } = content;
    if (this.content !== content) {
      this.content = content;
      const floats = content.values instanceof Float32Array ? content.values : new Float32Array(content.values);
      if (components === 2) this.upload(0, gl.RG32F, columns, rows, gl.RG, gl.FLOAT, floats);
      else this.upload(0, gl.R32F, columns, rows, gl.RED, gl.FLOAT, floats);
      if (content.coverage) this.upload(2, gl.R8, columns, rows, gl.RED, gl.UNSIGNED_BYTE, content.coverage);
    }
    if (this.table !== look.map) {
      this.table = look.map;
      this.upload(1, gl.RGB8, 256, 1, gl.RGB, gl.UNSIGNED_BYTE, tables[look.map]);
    }
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniform2i(this.at("size"), columns, rows);
    gl.uniform4f(this.at("view"), view.left, view.top, view.width, view.height);
    gl.uniform2f(this.at("canvas"), canvas.width, canvas.height);
    gl.uniform2f(this.at("limits"), look.limits[0], look.limits[1]);
    gl.uniform1i(this.at("scale"), { linear: 0, log: 1, gamma: 2 }[look.scale]);
    gl.uniform1f(this.at("gamma"), look.gamma);
    gl.uniform1i(this.at("hasCoverage"), content.coverage ? 1 : 0);
    gl.uniform1i(this.at("isVector"), components === 2 ? 1 : 0);
    gl.uniform3f(this.at("turn"), ...turn(look));
    gl.uniform3fv(this.at("marks"), [0, 1, 2, 3, 4, 5].flatMap((code) => (MARKS[code] ?? OUTSIDE).map((part) => part / 255)));
    gl.uniform3fv(this.at("outside"), OUTSIDE.map((part) => part / 255));
    gl.uniform3fv(this.at("noNumber"), NO_NUMBER.map((part) => part / 255));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  clear() {
    const { gl } = this;
    this.content = null;
    gl.clearColor(...OUTSIDE.map((part) => part / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }
}

// A vector's (y, x) rotation: sine, cosine, and the sign that y takes before.
function turn({ rotation, flip }) {
  const angle = (rotation * Math.PI) / 180;
  return [Math.sin(angle), Math.cos(angle), flip ? -1 : 1];
}

// The angle of a vector after its rotation, as a place on the circular colour map, 0 … 1.
export function anglePlace(vectorY, vectorX, look) {
  const [sine, cosine, sign] = turn(look);
  const y = vectorY * sign;
  return (Math.atan2(cosine * y + sine * vectorX, cosine * vectorX - sine * y) / (2 * Math.PI) + 0.5) % 1;
}

// The colour of one pixel, as the shader gives it; for drawing without a GPU.
export function colourOf(content, look, index) {
  const { values, coverage, components } = content;
  if (coverage && !hasValue(coverage[index])) return MARKS[coverage[index]];
  const value = values[index * components];
  if (Number.isNaN(value)) return NO_NUMBER;
  const table = tables[look.map];
  const clamp = (share) => Math.min(Math.max(share, 0), 1);
  if (components === 2) {
    const other = values[2 * index + 1];
    const hue = 3 * Math.floor(anglePlace(value, other, look) * 255 + 0.5);
    const bright = clamp(level(Math.hypot(value, other), look.limits, look.scale, look.gamma));
    return [0, 1, 2].map((part) => table[hue + part] * bright);
  }
  const entry = 3 * Math.floor(clamp(level(value, look.limits, look.scale, look.gamma)) * 255 + 0.5);
  return [table[entry], table[entry + 1], table[entry + 2]];
}

class PlainPicture {
  constructor(canvas) {
    Object.assign(this, { canvas, context: canvas.getContext("2d"), kind: "2D" });
    this.image = document.createElement("canvas");
  }

  draw(content, look, view) {
    const { canvas, context, image } = this;
    const key = JSON.stringify(look);
    if (this.content !== content || this.look !== key) {
      this.content = content;
      this.look = key;
      image.width = content.columns;
      image.height = content.rows;
      const pixels = new ImageData(content.columns, content.rows);
      for (let index = 0; index < content.rows * content.columns; index++) {
        pixels.data.set(colourOf(content, look, index), 4 * index);
        pixels.data[4 * index + 3] = 255;
      }
      image.getContext("2d").putImageData(pixels, 0, 0);
    }
    this.clear();
    this.content = content;
    context.imageSmoothingEnabled = false;
    const scale = canvas.width / view.width;
    context.drawImage(
      image, -view.left * scale, -view.top * scale, content.columns * scale, content.rows * scale);
  }

  clear() {
    this.content = null;
    this.context.fillStyle = `rgb(${OUTSIDE})`;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }
}
