// What each page does once its button is pressed. To open a link changes nothing.
const pages = {
  "verify-email": {
    title: "Confirm your address", button: "Confirm", path: "auth/verify-email", fields: [],
    done: "Your address is confirmed. You can log in now.",
  },
  "confirm-email": {
    title: "Confirm your new address", button: "Confirm", path: "email/confirm", fields: [],
    done: "This is your address from now on.",
  },
  "revert-email": {
    title: "Keep your old address", button: "Keep it", path: "email/revert", fields: [],
    done: "Your old address stays.",
  },
  "reset-password": {
    title: "Choose a new password", button: "Set the password", path: "password/reset",
    fields: ["new_password", "confirm_password"], done: "The password is set. You can log in with it now.",
  },
  "invitation": {
    title: "Join the organisation", button: "Log in and join", path: "invitations/accept",
    fields: ["login", "password"], done: "You are a member now.",
  },
};

const page = pages[location.pathname.split("/").pop()];
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const form = document.forms[0];
const say = (text) => { document.querySelector("[role=status]").textContent = text; };

document.title = document.querySelector("h1").textContent = page.title;
form.querySelector("button").textContent = page.button;
for (const name of page.fields) {
  const field = form.elements[name];
  field.required = true;
  field.parentElement.hidden = false;
}
if (token) {
  form.hidden = false;
  // A token belongs neither into the history nor into what is copied from the address bar.
  history.replaceState(null, "", location.pathname);
} else {
  say("The link is not complete. Open it as it stands in the mail.");
}

async function post(path, body, bearer) {
  const headers = { "Content-Type": "application/json", ...(bearer && { Authorization: `Bearer ${bearer}` }) };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" });
  const content = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return content;
  const errors = content.errors ?? [];
  throw new Error([content.detail ?? content.title, ...errors.map((error) => error.detail)].join("\n"));
}

async function act(values) {
  if (!page.fields.includes("login")) return post(page.path, { token, ...values });
  // Logged in for this one act only.
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
  say("");
  try {
    await act(Object.fromEntries(page.fields.map((name) => [name, form.elements[name].value])));
    form.hidden = true;
    say(page.done);
  } catch (error) {
    say(error.message);
  } finally {
    button.disabled = false;
  }
});
