// Looks at the status page in Chromium: `python -m tests.browser` starts a server and this. Ends with 1 where something fails.
// Arguments: the page's address, a folder for pictures. NODE_PATH must hold playwright-core and axe-core.
import { createRequire } from "node:module";
import { createServer } from "node:http";
import path from "node:path";
const require = createRequire(path.join(process.env.NODE_PATH ?? process.cwd(), "x.js"));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const [address, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"],
});
const problems = [];
const check = (said, holds) => { console.log(`${holds ? "ok  " : "FAIL"} ${said}`); if (!holds) problems.push(said); };

async function open(name, options, target = "/projects/1") {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const outside = [], errors = [];
  page.on("request", (request) => { if (new URL(request.url()).origin !== address) outside.push(request.url()); });
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(address + target, { waitUntil: "load" });
  await page.waitForTimeout(600);
  return { context, page, outside, errors, name };
}

async function examine({ page, outside, errors, name }) {
  await page.evaluate(() => { for (const one of document.querySelectorAll("img[loading=lazy]")) one.loading = "eager"; });
  await page.waitForTimeout(500);
  const { width: wide } = page.viewportSize();
  const clip = { x: 0, y: 0, width: wide, height: Math.min(await page.evaluate(() => document.documentElement.scrollHeight), 1500) };
  await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true, clip });
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run());
  for (const one of found.violations) console.log(`     axe ${one.impact}: ${one.id}, ${one.nodes.length} x: ${one.nodes[0].html.slice(0, 160)}`);
  check(`${name}: axe finds nothing serious`, !found.violations.some((one) => ["serious", "critical"].includes(one.impact)));
  check(`${name}: no request leaves the host`, outside.length === 0);
  check(`${name}: the console is quiet (${errors.slice(0, 2).join(" | ")})`, errors.length === 0);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check(`${name}: nothing is wider than the screen (${width} pixels)`, width <= page.viewportSize().width);
}

const desk = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
for (const [name, options, target] of [
  ["status-page", { ...desk, colorScheme: "light" }], ["status-page-dark", { ...desk, colorScheme: "dark" }],
  ["status-page-phone", phone], ["status-page-map", desk, "/projects/1/map"], ["status-page-search", desk, "/projects/1/search?class=sad"], ["project-without-script", { ...desk, javaScriptEnabled: false }], ["status-page-projects", desk, "/"],
]) {
  const seen = await open(name, options, target);
  if (options.javaScriptEnabled === false) {
    const text = await seen.page.innerText("main");
    check(`${name}: it reads without JavaScript`, ["Rounds", "Classes", "Asked for next", "Random share", "Export"].every((word) => text.includes(word)));
    await seen.page.click("button[value=pause]");
    check(`${name}: a button acts`, (await seen.page.innerText("main")).includes("is paused"));
    await seen.page.click("button[value=resume]");
    await seen.page.goto(`${address}/projects/1/search`);
    await seen.page.setInputFiles("#file", process.env.SOUND);
    await seen.page.click("text=Search by this file");
    check(`${name}: a file is searched by`, (await seen.page.innerText("main")).includes("The file lasts 1.5 s") && await seen.page.locator("input[name=clips]").count() === 20);
    await seen.page.setInputFiles("#file", { name: "a.mp3", mimeType: "audio/mpeg", buffer: Buffer.from("no audio") });
    await seen.page.click("text=Search by this file");
    check(`${name}: a file that is no audio is told so`, (await seen.page.innerText(".problem")).includes("audio"));
  } else {
    await examine(seen);
  }
  await seen.context.close();
}

const { context, page } = await open("acting", desk);
check("a clip plays", await page.evaluate(async () => {
  const audio = document.querySelector("audio");
  await audio.play();
  return audio.duration > 0.2;
}));
await page.goto(`${address}/projects/1/map`);
await page.locator("circle").last().click();
check("a dot of the map plays", await page.waitForFunction(() => document.querySelector("#map-player audio").currentTime > 0, null, { timeout: 8000 }).then(() => true, () => false));
await page.click("#map-like");
check("search by example finds clips", await page.locator("input[name=clips]").count() > 0);
await page.click("button[value=ask]");
check("they are asked for next", (await page.innerText("#said")).includes("will be asked for before all others"));
await page.goto(`${address}/projects/1`);
await page.click("text=Export the model for transformers");
check("an export is being made", (await page.innerText("#exports")).includes("being made"));
const made = page.locator("#exports a[href*='/exports/']");
check("it is ready without a reload", await made.waitFor({ timeout: 10000 }).then(() => true, () => false));
for (const [said, link] of [["the archive", made], ["the table", page.locator("a[href$='predictions.csv']")]]) {
  const [download] = await Promise.all([page.waitForEvent("download", { timeout: 10000 }), link.click()]);
  check(`${said} is downloaded (${download.suggestedFilename()})`, (await download.failure()) === null);
}
await page.locator("#exports").screenshot({ path: path.join(pictures, "status-page-exports.png") });
await examine({ page, outside: [], errors: [], name: "status-page-exported" });
await page.goto(`${address}/projects/1/search`);
await page.setInputFiles("#file", { name: "large.wav", mimeType: "audio/wav", buffer: Buffer.alloc(21e6) });
check("a file that is too large isn't sent", await page.evaluate(() => !document.getElementById("file").checkValidity()));
await page.setInputFiles("#file", process.env.SOUND);
await page.click("text=Search by this file");
await page.waitForSelector(".said");
await page.waitForTimeout(500);
await examine({ page, outside: [], errors: [], name: "status-page-upload" });
await page.click("button[value=ask]");
check("what is like a file is asked for next", (await page.innerText("#said")).includes("will be asked for before all others"));
const site = createServer((_, reply) => reply.setHeader("Content-Type", "text/html").end("<p>another site of this machine")).listen(0, "127.0.0.1");
await new Promise((done) => site.once("listening", done));
const other = await browser.newPage();
await other.goto(`http://127.0.0.1:${site.address().port}/`);
const clip = (await (await fetch(`${address}/status`)).json()).projects[0].next_clips[0].clip;
check("another site of this machine embeds no clip", await other.evaluate((from) => new Promise((done) => {
  const audio = new Audio(from);
  audio.addEventListener("error", () => done(true));
  audio.addEventListener("loadeddata", () => done(false));
  audio.load();
}), `${address}/projects/1/clips/${clip}.wav`));
await other.close();
site.close();
if (process.env.PROGRESS) {
  await page.goto(`${address}/projects/1`);
  const { writeFileSync } = await import("node:fs");
  const now = Date.now() / 1000;
  const doing = (done) => writeFileSync(process.env.PROGRESS, JSON.stringify({ schema_version: 1, stage: "tapt", done, total: 400, at: now + done / 10, began: now - 20, first: 0 }));
  doing(120);
  await page.waitForFunction(() => document.querySelector("#now").innerText.includes("tapt 120/400"), null, { timeout: 8000 }).catch(() => null);
  doing(200);
  await page.waitForFunction(() => document.querySelector("#now").innerText.includes("tapt 200/400"), null, { timeout: 8000 }).catch(() => null);
  const { utimesSync } = await import("node:fs");
  const asked = [];
  page.on("response", (reply) => asked.push(new URL(reply.url()).pathname));
  utimesSync(path.join(path.dirname(process.env.PROGRESS), "tasks.json"), now + 5, now + 5);
  await page.waitForTimeout(4000);
  check("the rest follows without a reload", asked.filter((one) => one === "/projects/1").length === 2);
  check("and is whole", await page.locator("#live h2").count() >= 5 && await page.locator("#next audio").count() === 20);
  check("progress moves without a reload", (await page.innerText("#now")).includes("tapt 200/400"));
}
await context.close();
await browser.close();
process.exit(problems.length ? 1 : 0);
