/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The page in a headless Chromium, for tests/test_web.sh:

       node web.js CHROMIUM PAGE FOLDER PHOTO...

   FOLDER has sample.jpg, 600 x 400, and of each PHOTO that is tested a folder named by its number, 1, 2, ..., with what
   the programs made of it here: map.npy, crops.json, crop-1.jpg or crop-1.png. Screenshots are left in it. Nothing
   here may depend on what a PHOTO shows or how large it is. */
'use strict';
const { spawn } = require('child_process'), fs = require('fs'), path = require('path'), zlib = require('zlib');
const [chromium, page, folder, ...photos] = process.argv.slice(2).map((x, i) => i ? path.resolve(x) : x);
const at = name => path.resolve(folder, name), sleep = ms => new Promise(go => setTimeout(go, ms));
let passed = 0, failed = 0;

function check(ok, sentence) {
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${sentence}`);
    if (ok) passed++; else failed++;
}

/* --- more pictures --- */
function crc(bytes) {
    let c = ~0;
    for (const x of bytes) {
        c ^= x;
        for (let k = 0; k < 8; k++) c = c >>> 1 ^ (c & 1 ? 0xEDB88320 : 0);
    }
    return ~c >>> 0;
}
function chunk(type, data) {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length);
    out.write(type, 4, 'latin1');
    data.copy(out, 8);
    out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
}
/* A PNG with alpha; pixel(x, y) gives four numbers, without it all is black. */
function png(name, w, h, pixel) {
    const head = Buffer.alloc(13), rows = Buffer.alloc(h * (1 + w * 4));
    head.writeUInt32BE(w); head.writeUInt32BE(h, 4); head[8] = 8; head[9] = 6;
    for (let y = 0; pixel && y < h; y++)
        for (let x = 0; x < w; x++) rows.set(pixel(x, y), y * (1 + w * 4) + 1 + x * 4);
    fs.writeFileSync(at(name), Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
        chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]));
}
function makePictures() {
    const photo = fs.readFileSync(at('sample.jpg'));
    const exif = Buffer.from('FFE100224578696600004D4D002A00000008000101120003000000010006000000000000', 'hex');
    fs.writeFileSync(at('turned.jpg'), Buffer.concat([photo.subarray(0, 2), exif, photo.subarray(2)]));
    png('wide.png', 3000, 20, (x, y) => [x >> 4 & 255, y * 12, x * 7 & 255, 255]);
    png('clear.png', 300, 200, (x, y) => Math.hypot(x - 150, y - 100) < 60 ? [200, 40, 40, 255] : [0, 0, 0, 0]);
    png('large.png', 30000, 2000);
    fs.writeFileSync(at('text.jpg'), 'This is no picture.\n');
}

/* --- the browser, by its debugging protocol over two pipes --- */
const profile = at('profile');
const browser = spawn(chromium, ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
    '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const [, , , down, up] = browser.stdio, waiting = new Map(), requests = [], complaints = [];
let count = 0, rest = '', session;
up.setEncoding('utf8');
up.on('data', text => {
    const parts = (rest + text).split('\0');
    rest = parts.pop();
    for (const message of parts.map(part => JSON.parse(part))) {
        if (message.method === 'Network.requestWillBeSent') requests.push(message.params.request.url);
        if (message.method === 'Runtime.exceptionThrown') complaints.push(message.params.exceptionDetails.text);
        if (!waiting.has(message.id)) continue;
        const { go, stop } = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.error) stop(new Error(message.error.message)); else go(message.result);
    }
});
function send(method, params = {}) {
    return new Promise((go, stop) => {
        waiting.set(++count, { go, stop });
        down.write(JSON.stringify({ id: count, method, params, sessionId: session }) + '\0');
    });
}
async function ask(expression) {
    const answer = await send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception.description);
    return answer.result.value;
}
async function until(expression) {
    for (let i = 0; i < 300; i++) {
        if (await ask(expression)) return;
        await sleep(100);
    }
    throw new Error(`waited in vain for ${expression}`);
}
async function choose(name) {
    const { root } = await send('DOM.getDocument');
    const { nodeId } = await send('DOM.querySelector', { nodeId: root.nodeId, selector: '#choose' });
    await ask('delete document.body.dataset.state');
    await send('DOM.setFileInputFiles', { nodeId, files: [at(name)] });
    await until("['done', 'fault'].includes(document.body.dataset.state)");
    return ask("document.body.dataset.state === 'done' ? '' : document.getElementById('fault').textContent");
}

/* What an expression is, an array of bytes: a million at a time, since a message has an end. */
async function bytesOf(expression) {
    const size = await ask(`(window.lent = ${expression}).length`), parts = [];
    for (let from = 0; from < size; from += 1e6)
        parts.push(Buffer.from(await ask(`(() => { let text = '';
            for (const x of lent.slice(${from}, ${from + 1e6})) text += String.fromCharCode(x);
            return btoa(text) })()`), 'base64'));
    return Buffer.concat(parts);
}

/* A screenshot of all, and how many colours there are where the picture is, or in all of it. */
async function shoot(name, stage = true) {
    const whole = await send('Page.captureScreenshot', { captureBeyondViewport: true, format: 'png' });
    fs.writeFileSync(at(name), Buffer.from(whole.data, 'base64'));
    return ask(`(async () => {
        const shot = new Image(), canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
        shot.src = 'data:image/png;base64,${whole.data}';
        await shot.decode();
        canvas.width = shot.width; canvas.height = shot.height;
        pen.drawImage(shot, 0, 0);
        const s = document.getElementById('stage').getBoundingClientRect(), f = devicePixelRatio;
        const { data } = ${stage} ? pen.getImageData((s.left + scrollX) * f, (s.top + scrollY) * f, s.width * f, s.height * f)
                                  : pen.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size })()`);
}

const boxes = () => ask('JSON.stringify(boxes)').then(JSON.parse);
const size = () => ask('[wasm._web_width(), wasm._web_height()].join(" x ")');
const picture = of => ask(`(() => { const c = document.getElementById('${of}');
    const step = 4 * Math.ceil(c.width * c.height / 20000);
    return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % step < 3).join() })()`)
    .then(text => text.split(',').map(Number));

/* A photograph: the map and the crops are the programs'. */
async function testPhoto(photo, number) {
    const mine = name => at(path.join(`${number}`, name)), title = path.basename(photo);
    await send('Emulation.setDeviceMetricsOverride', { width: 1200, height: 900, deviceScaleFactor: 1, mobile: false });
    await send('Emulation.setTouchEmulationEnabled', { enabled: false });
    const said = await choose(photo);
    check(said === '', `the page takes a photograph, ${title} ${said}`);
    if (said) return;
    const npy = fs.readFileSync(mine('map.npy')), begin = 10 + npy.readUInt16LE(8);
    const [, high, wide] = /\((\d+), (\d+)\)/.exec(npy.toString('latin1', 10, begin)).map(Number);
    const map = await bytesOf(`wasm.HEAPU8.slice(wasm._web_map(), wasm._web_map() + ${wide * high * 4})`);
    check(await size() === `${wide} x ${high}`, `it stands as it does for predict (${wide} x ${high})`);
    let worst = map.length === npy.length - begin ? 0 : 1;
    for (let i = 0; i < map.length && i + begin < npy.length; i += 4)
        worst = Math.max(worst, Math.abs(map.readFloatLE(i) - npy.readFloatLE(begin + i)));
    check(worst < 1e-5, `its map is the native one (${worst.toExponential(0)})`);
    const native = fs.readFileSync(mine('crops.json'), 'utf8').trim().split('\n').map(line => JSON.parse(line).boxes[0]);
    const here = await boxes();
    check(native.length === 4 && native.every((b, i) => ['x', 'y', 'w', 'h'].every(k => b[k] === here[i][k])),
          `its four crops are those of the program crop (${here.map(b => `${b.w} x ${b.h}`).join(', ')})`);
    const file = fs.readFileSync(mine(fs.existsSync(mine('crop-1.jpg')) ? 'crop-1.jpg' : 'crop-1.png'));
    check(file.equals(await bytesOf('cropFile(0)')), 'a saved crop has the bytes that crop writes');
    check(/in \d+ ms/.test(await ask("document.getElementById('facts').textContent")), 'milliseconds are shown');
    const colours = new Set(await picture('heat'));
    check(colours.size > 50, `the map is drawn (${colours.size} levels)`);
    await ask("var o = document.getElementById('opacity'); o.value = 30; o.dispatchEvent(new Event('input'))");
    check(await ask("getComputedStyle(document.getElementById('heat')).opacity") === '0.3', 'the slider sets its opacity');
    await ask("o.value = 60; o.dispatchEvent(new Event('input'))");
    const levels = await shoot(mine('wide-screen.png'));
    check(levels > 50, `a screenshot is not blank (${levels} colours in the picture)`);
    await ask("document.querySelectorAll('.show')[2].click()");
    const off = await ask(`(() => { const f = document.getElementById('frame').getBoundingClientRect(),
        s = document.getElementById('stage').getBoundingClientRect(), b = boxes[2], scale = s.width / ${wide};
        return Math.max(Math.abs(f.left - s.left - b.x * scale), Math.abs(f.top - s.top - b.y * scale),
                        Math.abs(f.width - b.w * scale), Math.abs(f.height - b.h * scale)) })()`);
    check(off < 1, `a chosen crop is shown in its place, to ${off.toFixed(2)} pixels of the screen`);
    await shoot(mine('frame.png'));
    await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
    check(await shoot(mine('dark.png')) > 50, 'nor is it in the dark');
    await send('Emulation.setEmulatedMedia', { features: [] });
    await send('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: 2, mobile: true });
    await send('Emulation.setTouchEmulationEnabled', { enabled: true });
    check(await ask('document.documentElement.scrollWidth') <= 390, 'nothing is wider than a phone');
    check(await shoot(mine('phone.png')) > 50, 'and a screenshot there is not blank');
}

async function main() {
    makePictures();
    const { targetInfos } = await send('Target.getTargets');
    const target = targetInfos.find(t => t.type === 'page');
    session = (await send('Target.attachToTarget', { targetId: target.targetId, flatten: true })).sessionId;
    for (const domain of ['Page', 'Network', 'Runtime', 'DOM']) await send(`${domain}.enable`);
    await send('Page.navigate', { url: `file://${page}` });
    await until("document.body && document.body.dataset.state === 'ready'");
    const clean = await shoot('start.png', false);
    check(clean > 5, `the page is there (${clean} colours)`);

    for (const [i, photo] of photos.entries()) await testPhoto(photo, i + 1);
    await send('Emulation.setDeviceMetricsOverride', { width: 1200, height: 900, deviceScaleFactor: 1, mobile: false });
    await send('Emulation.setTouchEmulationEnabled', { enabled: false });

    /* by keyboard alone: file, slider, then the two buttons of each crop */
    await ask('document.activeElement.blur()');
    const order = [];
    for (let i = 0; i < 10; i++) {
        for (const type of ['keyDown', 'keyUp'])
            await send('Input.dispatchKeyEvent', { type, key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 });
        order.push(await ask("document.activeElement.id || document.activeElement.getAttribute('aria-label')"));
    }
    check(['choose', 'opacity', 'Save the crop 1:1', 'Show where the crop 16:9 lies', 'Save the crop 4:5']
        .every(x => order.includes(x)), 'the keyboard reaches everything');

    /* other pictures, and none */
    check(await choose('turned.jpg') === '' && await size() === '400 x 600', 'a photograph turned by EXIF stands upright');
    check(await choose('wide.png') === '' && await size() === '3000 x 20', 'a very wide picture');
    await shoot('strip.png');
    check(await choose('clear.png') === '', 'a picture with transparency');
    const clear = await picture('picture');
    check(clear.filter(x => x > 250).length > clear.length / 3, 'stands on white');
    const empty = await ask('document.getElementById("result").hidden');
    const sentence = await choose('text.jpg');
    check(!empty && /text file/.test(sentence) && await ask('document.getElementById("result").hidden'),
          `what is no picture is refused: ${sentence}`);
    await shoot('fault.png', false);
    const large = await choose('large.png');
    check(/30000 x 2000 pixels/.test(large), `and what is too large: ${large}`);
    await ask(`(async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 123, height: 45 });
        canvas.getContext('2d').fillRect(20, 20, 20, 20);
        const blob = await new Promise(go => canvas.toBlob(go, 'image/webp'));
        await take(new File([blob], 'photo.webp')); })()`);
    check(await ask('document.body.dataset.state') === 'done' && await size() === '123 x 45',
          'what only the browser can decode, a WebP file, is taken from it');
    check(await choose('sample.jpg') === '', 'and then a photograph is taken again');

    const outside = requests.filter(url => !/^(file|data|blob|about):/.test(url));
    check(outside.length === 0, `nothing is asked from a network ${outside}`);
    check(complaints.length === 0, `nothing goes wrong unseen ${complaints}`);
}

main().catch(error => check(false, `${error.message}`)).then(() => {
    browser.on('exit', () => {
        fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
        console.log(`${passed} passed, ${failed} failed`);
        process.exit(0);                    /* it came to its end; what failed is counted above */
    });
    session = undefined;
    send('Browser.close').catch(() => {});
    setTimeout(() => browser.kill(), 5000);
});
