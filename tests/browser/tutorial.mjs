// Pictures of the tutorial, from a real Label Studio: `python -m tests.browser.tutorial` starts it and this.
// Arguments: "label" or "look", Label Studio's address, the project, the backend's address, a folder for pictures.
// PASSWORD is that of the demo's person; NODE_PATH must hold playwright-core.
import { createRequire } from "node:module";
import path from "node:path";
const require = createRequire(path.join(process.env.NODE_PATH ?? process.cwd(), "x.js"));
const { chromium } = require("playwright-core");

const [part, labelStudio, project, backend, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.setDefaultTimeout(120_000);
const picture = async (name) => {
  await page.waitForTimeout(3000);
  await page.screenshot({ path: path.join(pictures, `tutorial-${name}.png`) });
};

async function signIn() {
  await page.goto(`${labelStudio}/user/login/`);
  await page.fill("input[name=email]", "demo@example.com");
  await page.fill("input[name=password]", process.env.PASSWORD);
  await Promise.all([page.waitForURL((url) => !url.pathname.startsWith("/user/login")), page.press("input[name=password]", "Enter")]);
}

if (part === "label") {
  await signIn();
  await page.goto(`${labelStudio}/projects/${project}/settings/ml`);
  await page.getByText("Connected", { exact: false }).first().waitFor();
  await picture("model");
  await page.goto(`${labelStudio}/projects/${project}/data`);
  const labelAll = page.getByText("Label All Tasks").first();
  await labelAll.waitFor();
  await picture("tasks");
  await labelAll.click();
  const choice = page.getByText("happy", { exact: false }).first();
  await choice.waitFor();
  await choice.click();
  await picture("label");
  await page.getByRole("button", { name: /submit/i }).first().click();
  await page.waitForTimeout(3000);
} else {
  await page.goto(`${backend}/projects/${project}`);
  await page.locator("h2").first().waitFor();
  await picture("status");
}
await browser.close();
