// Who looks at this page: the token that it shows the viewer, and what its role allows.

const KEPT = "stemwire-token";
// The number with which the viewer closes the WebSocket of a page that is not let in.
export const NOT_LET_IN = 4401;

const add = (parent, tag, attributes = {}) => parent.appendChild(Object.assign(document.createElement(tag), attributes));

export class Role {
  // `onToken()` is called when there is another token.
  constructor(onToken) {
    this.onToken = onToken;
    this.token = this.kept();
    this.takeFromAddress();
    addEventListener("hashchange", () => { if (this.takeFromAddress()) this.onToken(); });
    this.sign = document.createElement("p");
    Object.assign(this.sign, { id: "role", className: "state", hidden: true });
    document.getElementById("state").after(this.sign);
  }

  kept() {
    try { return sessionStorage.getItem(KEPT) ?? ""; } catch { return ""; }
  }

  keep(token) {
    this.token = token;
    try { sessionStorage.setItem(KEPT, token); } catch { /* Storage is shut off: the token is known until the page is left. */ }
  }

  // Takes #token=… out of the address, where people would copy it and the browser keep it. Returns whether there was one.
  takeFromAddress() {
    const words = location.hash.slice(1).split("&"), found = words.find((word) => word.startsWith("token="));
    if (!found) return false;
    const rest = words.filter((word) => word !== found).join("&");
    history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
    this.keep(decodeURIComponent(found.slice("token=".length)).trim());
    return true;
  }

  // Asks the user for a token, and says why.
  ask(reason) {
    if (!this.dialog) this.make();
    this.reason.textContent = this.token ? reason : "This viewer needs a token. Who runs the server makes one with: stemwire enrol --web";
    if (!this.dialog.open) this.dialog.showModal();
    this.field.focus();
  }

  make() {
    this.dialog = add(document.body, "dialog", { id: "token", ariaLabel: "Token" });
    add(this.dialog, "h2", { textContent: "Token" });
    this.reason = add(this.dialog, "p", { className: "quiet", role: "alert" });
    const form = add(this.dialog, "form");
    this.field = add(form, "input", { type: "password", ariaLabel: "Token", autocomplete: "off", maxLength: 256, required: true });
    add(form, "button", { textContent: "Come in" });
    this.dialog.oncancel = (event) => event.preventDefault();
    form.onsubmit = (event) => {
      event.preventDefault();
      this.keep(this.field.value.trim());
      this.field.value = "";
      this.dialog.close();
      this.onToken();
    };
  }

  // What the page may do, as each message tells it.
  show({ mayControl, looksOnly, reason, guest, role }) {
    if (this.dialog?.open) this.dialog.close();
    document.body.classList.toggle("look", looksOnly);
    this.sign.hidden = !guest;
    if (guest) this.sign.textContent = role;
    this.sign.title = guest ? `${guest}${reason ? `: ${reason}` : ""}` : "";
    for (const button of document.querySelectorAll("#adders button")) button.disabled = !mayControl;
    for (const control of document.querySelectorAll("#doing button, #doing input, #adders button")) {
      control.dataset.title ??= control.title;
      control.title = mayControl ? control.dataset.title : reason;
    }
  }
}
