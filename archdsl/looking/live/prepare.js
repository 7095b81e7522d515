// From the pixels of a picture to what the network takes: the steps of archdsl's training and
// `archdsl predict`, number by number. Pixels are bytes, channel by channel, as torch has them.

// Python's round: halves go to the even number.
function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

// RGBA of a canvas as bytes of 1 or 3 channels. What is transparent shows the background.
function channelsOf({ data, width, height }, channels, background, isInverted) {
  const count = width * height;
  const pixels = new Uint8Array(channels * count);
  const behind = [0, 1, 2].map((k) => background[k % background.length]);
  const paper = isInverted ? behind.map((x) => 255 - x) : behind;
  const colour = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const alpha = data[4 * i + 3];
    for (let k = 0; k < 3; k++) {
      const value = data[4 * i + k];
      colour[k] = alpha === 255 ? value : Math.round((value * alpha + paper[k] * (255 - alpha)) / 255);
    }
    if (channels === 3) for (let k = 0; k < 3; k++) pixels[k * count + i] = colour[k];
    // As Pillow makes a colour grey (ITU-R BT.601).
    else pixels[i] = (colour[0] * 19595 + colour[1] * 38470 + colour[2] * 7471 + 0x8000) >> 16;
  }
  if (isInverted) for (let i = 0; i < pixels.length; i++) pixels[i] = 255 - pixels[i];
  return { pixels, channels, height, width };
}

// The window of an image at a place; outside of it there are zeros.
function windowOf({ pixels, channels, height, width }, top, left, [rows, columns]) {
  const taken = new Uint8Array(channels * rows * columns);
  for (let k = 0; k < channels; k++) for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
    const [row, column] = [y + top, x + left];
    if (row < 0 || column < 0 || row >= height || column >= width) continue;
    taken[(k * rows + y) * columns + x] = pixels[(k * height + row) * width + column];
  }
  return { pixels: taken, channels, height: rows, width: columns };
}

function cutCentre(image, [rows, columns]) {
  return windowOf(image, (image.height - rows) >> 1, (image.width - columns) >> 1, [rows, columns]);
}

// The weights with which torch resizes bytes along an axis, bilinear with antialiasing: a triangle
// about the middle of each new pixel, as integers of 16 bits.
function weightsOf(length, wanted) {
  const scale = length / wanted;
  const support = Math.max(1, scale);
  const places = [];
  let largest = 0;
  for (let i = 0; i < wanted; i++) {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), length);
    const weights = [];
    for (let j = first; j < last; j++) {
      weights.push(Math.max(0, 1 - Math.abs((j - centre + 0.5) / support)));
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    places.push({ first, weights: weights.map((weight) => weight / total) });
    largest = Math.max(largest, ...places[i].weights);
  }
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  for (const place of places) place.weights = place.weights.map((weight) => Math.trunc(0.5 + weight * 2 ** bits));
  return { places, bits };
}

function resizeAlong(image, wanted, isAcross) {
  const { pixels, channels, height, width } = image;
  const length = isAcross ? width : height;
  if (length === wanted) return image;
  const { places, bits } = weightsOf(length, wanted);
  const [rows, columns] = isAcross ? [height, wanted] : [wanted, width];
  const resized = new Uint8Array(channels * rows * columns);
  for (let k = 0; k < channels; k++) for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
    const { first, weights } = places[isAcross ? x : y];
    const start = isAcross ? (k * height + y) * width + first : (k * height + first) * width + x;
    const step = isAcross ? 1 : width;
    let sum = 2 ** (bits - 1);
    for (let j = 0; j < weights.length; j++) sum += pixels[start + j * step] * weights[j];
    resized[(k * rows + y) * columns + x] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** bits)));
  }
  return { pixels: resized, channels, height: rows, width: columns };
}

function resize(image, [rows, columns]) {
  return resizeAlong(resizeAlong(image, columns, true), rows, false);
}

// An image as the network sees it: a little too small, it is padded; otherwise its centre is
// resized to cover the frame, and the middle of that is cut out.
function prepare(image, { size, frame, padding }) {
  const down = size[0] - image.height;
  const right = size[1] - image.width;
  let found = image;
  if (Math.min(down, right) >= 0 && Math.max(down, right) <= padding && down + right > 0) {
    found = windowOf(image, -(down >> 1), -(right >> 1), size);
  }
  if (found.height !== frame[0] || found.width !== frame[1]) {
    const scale = Math.max(frame[0] / found.height, frame[1] / found.width);
    const centre = frame.map((length) => Math.max(1, roundEven(length / scale)));
    found = resize(cutCentre(found, centre), frame);
  }
  return cutCentre(found, size);
}

// Bytes as the network takes them, in single precision like torch's.
function normalize(pixels, { channels, scale, offset }) {
  const count = pixels.length / channels;
  const numbers = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    const k = Math.floor(i / count);
    numbers[i] = Math.fround(Math.fround(pixels[i] * scale[k]) + offset[k]);
  }
  return numbers;
}

// In what an image is unlike those of the training; `canInvert` where dark and bright seem reversed.
function remarkOf(pixels, channels, { name, appearance, unlike, leastStd }) {
  if (!appearance) return { text: "", canInvert: false };
  const count = pixels.length / channels;
  let [low, high, sum] = [255, 0, 0];
  for (let i = 0; i < count; i++) {
    let grey = 0;
    for (let k = 0; k < channels; k++) grey += pixels[k * count + i] / channels;
    low = Math.min(low, grey);
    high = Math.max(high, grey);
    sum += grey;
  }
  if (high <= low) return { text: "", canInvert: false };
  const brightness = sum / count / 255;
  const polarity = (sum / count - low) / (high - low);
  const far = ({ mean, std }, value) => Math.abs(value - mean) / Math.max(std, leastStd);
  const isOdd = far(appearance.polarity, polarity) > unlike;
  if (!isOdd && far(appearance.brightness, brightness) <= unlike) return { text: "", canInvert: false };
  const share = (value) => `${Math.round(100 * value)} %`;
  const { mean, std } = appearance.brightness;
  const text = `The mean brightness is ${share(brightness)}, that of the images of ${name} ${share(mean)} ± ${share(std)}`;
  const canInvert = isOdd && far(appearance.polarity, 1 - polarity) < far(appearance.polarity, polarity);
  return { text: canInvert ? `${text}; dark and bright seem to be reversed: try “invert”.` : `${text}.`, canInvert };
}
