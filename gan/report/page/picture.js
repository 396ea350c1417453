"use strict";

/** The planes of a case as bytes, and their side. */
async function planesOf(entry) {
  const picture = make("img", { src: entry.image });
  await picture.decode();
  const side = picture.naturalHeight;
  const context = canvasOf(picture.naturalWidth, side).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const planes = Array.from({ length: entry.planes }, (_, place) => {
    const pixels = context.getImageData(place * side, 0, side, side).data;
    return Uint8Array.from({ length: side * side }, (_, pixel) => pixels[4 * pixel]);
  });
  return { side, planes };
}

function canvasOf(width, height) {
  return make("canvas", { width, height });
}

/** A plane as a picture: the colour of each of 256 values, see `packed`. */
function painted(plane, side, colours) {
  const canvas = canvasOf(side, side);
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  plane.forEach((value, pixel) => { pixels[pixel] = colours[value]; });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A colour as the four bytes that a picture holds of it. */
function packed(red, green, blue, alpha) {
  return new Uint32Array(new Uint8ClampedArray([red, green, blue, alpha]).buffer)[0];
}

/** The grey of each of 256 values: `level` is the middle of what is shown, `width` its reach, both in [0, 1]. */
function greys({ level, width, inverted }) {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const share = Math.min(1, Math.max(0, (value / 255 - level) / width + 0.5));
    const grey = 255 * (inverted ? 1 - share : share);
    return packed(grey, grey, grey, 255);
  });
}

/** The change that a value of a plane stands for. */
function changeOf(value, signed) {
  return signed ? (value - 128) / 127 : value / 255;
}

/** The colour of each of 256 values of a map: the weaker a change, the more shines through. */
function changeColours(of) {
  return Uint32Array.from(of.colours, ([red, green, blue], value) =>
    packed(red, green, blue, 255 * Math.min(1, Math.abs(changeOf(value, of.signed)) / of.opaque_from)));
}
