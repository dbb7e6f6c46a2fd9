// The acquisitions before the present one, with how they ended; their results can be shown beside the present ones.

import { make } from "./pane.js";
import { count, endWords } from "./trust.js";

export function listPast(element, past, show) {
  element.parentElement.hidden = past.length === 0;
  element.replaceChildren(...past.map((each) => {
    const counts = each.accounting, isGood = each.endReason === "complete" && counts && counts.missing + counts.rejected === 0;
    const lack = counts && counts.missing + counts.rejected ? ` · ${count(counts.missing + counts.rejected)} lacking` : "";
    const text = `${each.navShape.join(" × ") || "no frames"} · ${endWords(each.endReason)}${lack}`;
    const item = make("li", { "data-tone": isGood ? "good" : "bad" }, make("span", {}, make("strong", { text: `${each.generation}` }), ` ${text}`));
    if (each.startedAt) item.title = `began ${new Date(each.startedAt).toLocaleString()}`;
    const has = each.channels.length > 0;
    item.append(make("button", { type: "button", text: "Beside", disabled: !has, "aria-label": `Show acquisition ${each.generation} beside the scan`,
      title: has ? "Show it beside the present one" : "Its results are not kept", onclick: () => show(each) }));
    return item;
  }));
}
