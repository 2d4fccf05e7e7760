/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The page in a headless Chromium, for tests/test_web.sh:

       node web.js CHROMIUM PAGE FOLDER

   FOLDER has photo.jpg, 600 x 400, and what the programs made of it here: map.npy, crops.json,
   crop-1.jpg. Screenshots are left in it. */
'use strict';
const { spawn } = require('child_process'), fs = require('fs'), path = require('path'), zlib = require('zlib');
const [chromium, page, folder] = process.argv.slice(2).map((x, i) => i ? path.resolve(x) : x);
const at = name => path.join(folder, name), sleep = ms => new Promise(go => setTimeout(go, ms));
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
    const photo = fs.readFileSync(at('photo.jpg'));
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

/* A screenshot; the share of bytes in the decompressed PNG that differ from the pixel before. */
async function shoot(name) {
    const bytes = Buffer.from((await send('Page.captureScreenshot', { captureBeyondViewport: true,
        format: 'png' })).data, 'base64');
    fs.writeFileSync(at(name), bytes);
    const chunks = [];
    for (let i = 8; i < bytes.length; i += 12 + bytes.readUInt32BE(i))
        if (bytes.toString('latin1', i + 4, i + 8) === 'IDAT') chunks.push(bytes.subarray(i + 8, i + 8 + bytes.readUInt32BE(i)));
    const raw = zlib.inflateSync(Buffer.concat(chunks));
    return raw.reduce((sum, x) => sum + (x !== 0), 0) / raw.length;
}

const boxes = () => ask('JSON.stringify(boxes)').then(JSON.parse);
const size = () => ask('[wasm._web_width(), wasm._web_height()].join(" x ")');
const picture = of => ask(`(() => { const c = document.getElementById('${of}');
    return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 64 < 3).join() })()`)
    .then(text => text.split(',').map(Number));

async function main() {
    makePictures();
    const { targetInfos } = await send('Target.getTargets');
    const target = targetInfos.find(t => t.type === 'page');
    session = (await send('Target.attachToTarget', { targetId: target.targetId, flatten: true })).sessionId;
    for (const domain of ['Page', 'Network', 'Runtime', 'DOM']) await send(`${domain}.enable`);
    await send('Emulation.setDeviceMetricsOverride', { width: 1200, height: 900, deviceScaleFactor: 1, mobile: false });
    await send('Page.navigate', { url: `file://${page}` });
    await until("document.body && document.body.dataset.state === 'ready'");
    await shoot('start.png');

    /* a photograph: the map and the crops are the programs' */
    const said = await choose('photo.jpg');
    check(said === '', `the page takes a photograph ${said}`);
    const npy = fs.readFileSync(at('map.npy')), begin = 10 + npy.readUInt16LE(8);
    const map = Buffer.from(await ask(`(() => { const n = wasm._web_width() * wasm._web_height() * 4, at = wasm._web_map();
        let text = ''; for (let i = 0; i < n; i++) text += String.fromCharCode(wasm.HEAPU8[at + i]); return btoa(text) })()`), 'base64');
    let worst = map.length === npy.length - begin ? 0 : 1;
    for (let i = 0; i < map.length && i + begin < npy.length; i += 4)
        worst = Math.max(worst, Math.abs(map.readFloatLE(i) - npy.readFloatLE(begin + i)));
    check(worst < 1e-5, `its map is the native one (${worst.toExponential(0)})`);
    const native = fs.readFileSync(at('crops.json'), 'utf8').trim().split('\n').map(line => JSON.parse(line).boxes[0]);
    const here = await boxes();
    check(native.length === 4 && native.every((b, i) => ['x', 'y', 'w', 'h'].every(k => b[k] === here[i][k])),
          `its four crops are those of the program crop (${here.map(b => `${b.w} x ${b.h}`).join(', ')})`);
    const file = Buffer.from(await ask('btoa(String.fromCharCode(...cropFile(0)))'), 'base64');
    check(file.equals(fs.readFileSync(at('crop-1.jpg'))), 'a saved crop has the bytes that crop writes');
    check(/in \d+ ms/.test(await ask("document.getElementById('facts').textContent")), 'milliseconds are shown');
    const colours = new Set(await picture('heat'));
    check(colours.size > 50, `the map is drawn (${colours.size} levels)`);
    await ask("const o = document.getElementById('opacity'); o.value = 30; o.dispatchEvent(new Event('input'))");
    check(await ask("getComputedStyle(document.getElementById('heat')).opacity") === '0.3', 'the slider sets its opacity');
    await ask("o.value = 60; o.dispatchEvent(new Event('input'))");
    check(await shoot('wide-screen.png') > .2, 'a screenshot is not blank');
    await ask("document.querySelectorAll('.show')[2].click()");
    const frame = await ask(`(() => { const f = document.getElementById('frame').getBoundingClientRect(),
        s = document.getElementById('stage').getBoundingClientRect(); return [(f.left - s.left) / s.width * wasm._web_width(),
        f.width / s.width * wasm._web_width()].map(Math.round).join() })()`);
    check(frame === `${here[2].x},${here[2].w}`, 'a chosen crop is shown in its place');
    await shoot('frame.png');
    await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
    check(await shoot('dark.png') > .2, 'nor is it in the dark');
    await send('Emulation.setEmulatedMedia', { features: [] });

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
    await shoot('fault.png');
    const large = await choose('large.png');
    check(/30000 x 2000 pixels/.test(large), `and what is too large: ${large}`);
    await ask(`(async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 123, height: 45 });
        canvas.getContext('2d').fillRect(20, 20, 20, 20);
        const blob = await new Promise(go => canvas.toBlob(go, 'image/webp'));
        await take(new File([blob], 'photo.webp')); })()`);
    check(await ask('document.body.dataset.state') === 'done' && await size() === '123 x 45',
          'what only the browser can decode, a WebP file, is taken from it');
    check(await choose('photo.jpg') === '', 'and then a photograph is taken again');

    await send('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: 2, mobile: true });
    await send('Emulation.setTouchEmulationEnabled', { enabled: true });
    check(await ask('document.documentElement.scrollWidth') <= 390, 'nothing is wider than a phone');
    check(await shoot('phone.png') > .1, 'and a screenshot there is not blank');
    const outside = requests.filter(url => !/^(file|data|blob|about):/.test(url));
    check(outside.length === 0, `nothing is asked from a network ${outside}`);
    check(complaints.length === 0, `nothing goes wrong unseen ${complaints}`);
}

main().catch(error => check(false, `${error.message}`)).then(() => {
    browser.on('exit', () => {
        fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
        console.log(`${passed} passed, ${failed} failed`);
        process.exit(failed ? 1 : 0);
    });
    session = undefined;
    send('Browser.close').catch(() => {});
    setTimeout(() => browser.kill(), 5000);
});
