// One line a test: what became of it, how long it took, and what it has to say. At the end
// the count.

const marks = { passed: "ok  ", failed: "FAIL", skipped: "skip" };
/** What the runner itself says at the end. */
const summary = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

export default async function* report(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of source) {
    if (type === "test:diagnostic") {
      if (!summary.test(data.message)) yield `              ${data.message}\n`;
    } else if (type === "test:stdout" || type === "test:stderr") {
      yield data.message;
    } else if (type === "test:pass" || type === "test:fail") {
      const outcome = data.skip !== undefined ? "skipped" : type === "test:pass" ? "passed" : "failed";
      ++counts[outcome];
      const seconds = `${(data.details.duration_ms / 1000).toFixed(1)} s`.padStart(7);
      yield `${marks[outcome]} ${seconds}  ${data.name}\n`;
      if (outcome === "failed") yield explain(data.details.error);
    }
  }
  const { passed, failed, skipped } = counts;
  yield `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}\n`;
}

function explain(error) {
  const cause = error?.cause ?? error;
  const text = cause?.stack ?? cause?.message ?? String(cause);
  return text.split("\n").slice(0, 12).map((line) => `      ${line}\n`).join("");
}
