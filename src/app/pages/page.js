// The texts, fields and endpoint of each page. Opening a link changes nothing; only the button does.
const pages = {
  "verify-email": {
    title: "Confirm your address", button: "Confirm", path: "auth/verify-email", fields: ["password"],
    note: "Anyone can sign up with your address. Enter the password that you chose when you signed up, or choose a new one.",
    alternative: { label: "I want to choose a new password", fields: ["new_password"] },
    done: "Your address is confirmed. You can log in now.",
  },
  "confirm-email": {
    title: "Confirm your new address", button: "Confirm", path: "email/confirm", fields: [],
    done: "Your new address is confirmed.",
  },
  "revert-email": {
    title: "Keep your old address", button: "Keep the old address", path: "email/revert", fields: [],
    done: "Your account keeps your old address.",
  },
  "reset-password": {
    title: "Choose a new password", button: "Set the password", path: "password/reset",
    fields: ["new_password", "confirm_password"], done: "Your password is changed. You can log in with it now.",
  },
  "invitation": {
    title: "Join the organisation", button: "Log in and join", path: "invitations/accept",
    fields: ["login", "password"], done: "You are now a member of the organisation.",
  },
};

const page = pages[location.pathname.split("/").pop()];
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const form = document.forms[0];
const showStatus = (text) => { document.querySelector("[role=status]").textContent = text; };

document.title = document.querySelector("h1").textContent = page.title;
form.querySelector("button").textContent = page.button;
document.querySelector("[data-note]").textContent = page.note ?? "";

const choice = form.elements.alternative;
if (page.alternative) {
  choice.parentElement.hidden = false;
  choice.nextSibling.textContent = ` ${page.alternative.label}`;
  choice.addEventListener("change", showFields);
}
const shownFields = () => (choice.checked ? page.alternative.fields : page.fields);

function showFields() {
  for (const name of ["login", "password", "new_password", "confirm_password"]) {
    const field = form.elements[name];
    field.required = shownFields().includes(name);
    field.parentElement.hidden = !field.required;
  }
}
showFields();
if (token) {
  form.hidden = false;
  // Remove the token from the history and the address bar.
  history.replaceState(null, "", location.pathname);
} else {
  showStatus("The link is incomplete. Open it from the e-mail, or copy all of it.");
}

async function post(path, body, bearer) {
  const headers = { "Content-Type": "application/json", ...(bearer && { Authorization: `Bearer ${bearer}` }) };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" });
  const content = response.status === 204 ? null : await response.json();
  if (response.ok) return content;
  const errors = content.errors ?? [];
  throw new Error([content.detail ?? content.title, ...errors.map((error) => error.detail)].join("\n"));
}

async function submit(values) {
  if (!page.fields.includes("login")) return post(page.path, { token, ...values });
  // The session exists only for this request.
  const { access_token: session } = await post("auth/login", values);
  try {
    await post(page.path, { token }, session);
  } finally {
    await post("auth/logout", {}, session);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  showStatus("");
  try {
    await submit(Object.fromEntries(shownFields().map((name) => [name, form.elements[name].value])));
    form.hidden = true;
    showStatus(page.done);
  } catch (error) {
    showStatus(error.message);
  } finally {
    button.disabled = false;
  }
});
