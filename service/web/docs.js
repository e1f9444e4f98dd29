// Shows openapi.json to read, and to try. Plain DOM: texts are only ever textContent.

const SHOWN_FRAMES = 100;

const element = (id) => document.getElementById(id);
const here = (path) => new URL(path.replace(/^\//, ""), document.baseURI);

let api = null;

// ---- pieces

function made(name, className = "", ...content) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

// What stands between backticks is code.
function prose(text = "") {
  return text.split("`").map((part, place) => (place % 2 ? made("code", "", part) : part));
}

function table(heads, rows) {
  const head = made("tr", "", ...heads.map((text) => made("th", "", text)));
  const body = rows.map((cells) => made("tr", "", ...cells.map((cell) => made("td", "", ...[cell].flat()))));
  const framed = made("div", "wide", made("table", "", made("thead", "", head), made("tbody", "", ...body)));
  framed.tabIndex = 0; // where it is wider than the window, the keyboard can scroll it
  return framed;
}

function resolved(node) {
  return node?.$ref ? node.$ref.split("/").slice(1).reduce((place, key) => place[key], api) : node;
}

function linkTo(reference) {
  const name = reference.split("/").at(-1);
  const link = made("a", "", name);
  link.href = `#schema-${name}`;
  return link;
}

// A schema in a few words, with links to those that have a name.
function kind(schema) {
  if (schema.$ref) return [linkTo(schema.$ref)];
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.flatMap((choice, place) => (place ? [" or ", ...kind(choice)] : kind(choice)));
  if ("const" in schema) return [made("code", "", JSON.stringify(schema.const))];
  if (schema.enum) return schema.enum.flatMap((value, place) => [place ? ", " : "", made("code", "", JSON.stringify(value))]);
  if (schema.type === "array") return schema.items ? ["list of ", ...kind(schema.items)] : ["list"];
  if (typeof schema.additionalProperties === "object") return ["object of ", ...kind(schema.additionalProperties)];
  return [[schema.format ?? schema.type, ...limits(schema)].filter(Boolean).join(", ")];
}

function limits({ minimum, maximum, maxLength, default: otherwise }) {
  return [
    minimum !== undefined && `≥ ${minimum}`,
    maximum !== undefined && `≤ ${maximum}`,
    maxLength !== undefined && `at most ${maxLength} characters`,
    otherwise !== undefined && `default ${JSON.stringify(otherwise)}`,
  ];
}

// ---- to read

function show() {
  element("version").textContent = api.info.version;
  const prefixes = api.servers.filter(({ url }) => url !== "/").map(({ url }) => `\`${url}\``).join(", ");
  element("about").replaceChildren(...prose(`${api.info.description} Messages are also under ${prefixes}.`));
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).filter(([key]) => key !== "servers").map(([method, operation]) => ({ path, method, ...operation })));
  element("operations").replaceChildren(...api.tags.map((tag) => {
    const section = made("section", "", made("h2", "", tag.name), made("p", "", ...prose(tag.description)));
    section.append(...operations.filter((operation) => operation.tags.includes(tag.name)).map(operationBox));
    return section;
  }));
  element("schemas").replaceChildren(...Object.entries(api.components.schemas).map(([name, schema]) => schemaBox(name, schema)));
}

function operationBox(operation) {
  const { path, method, summary, description, responses } = operation;
  const box = made("details", "operation", made("summary", "",
    made("span", `method ${method}`, method.toUpperCase()), " ", made("code", "name", path), " ", made("span", "faint", summary)));
  box.id = operation.operationId;
  const answers = Object.entries(responses).map(([code, answer]) => {
    const { description: words, content = {} } = resolved(answer);
    const contents = Object.entries(content).map(([type, { schema }]) => (schema?.$ref ? linkTo(schema.$ref) : type));
    return [made("code", "", code), prose(words), contents.flatMap((shown, place) => (place ? [", ", shown] : [shown]))];
  });
  box.append(made("p", "", ...prose(description)), made("p", "faint", access(operation)), form(operation),
    made("h3", "", "Answers"), table(["Code", "When", "Content"], answers));
  const example = Object.values(responses["200"]?.content ?? {})[0]?.example;
  if (example) box.append(made("h3", "", "Example"), made("pre", "", JSON.stringify(example, null, 2)));
  return box;
}

function access({ security }) {
  if (security.length === 0) return "No token is needed.";
  const scopes = [...new Set(security.flatMap((way) => Object.values(way).flat()))];
  const others = security.flatMap(Object.keys).filter((name) => name !== "bearer");
  return `Needs a token of scope ${scopes.join(", ")}${others.map((name) => `; or ${name}`).join("")}.`;
}

function schemaBox(name, schema) {
  const box = made("details", "", made("summary", "", made("code", "name", name), " ", made("span", "faint", ...prose(schema.description))));
  box.id = `schema-${name}`;
  const rows = Object.entries(schema.properties ?? {}).map(([key, property]) => [
    [made("code", "", key), schema.required?.includes(key) ? "" : " (optional)"], kind(property), prose(property.description)]);
  box.append(rows.length ? table(["Field", "Type", ""], rows) : made("p", "", ...kind(schema)));
  return box;
}

function openNamed() {
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

// ---- to try

function form(operation) {
  const fields = (operation.parameters ?? []).map((parameter) => ({ parameter, input: field(parameter) }));
  const rows = fields.map(({ parameter, input }, place) => {
    input.id = `${operation.operationId}-${place}`;
    const label = made("label", "", made("code", "", parameter.name), parameter.required ? " (required)" : "");
    label.htmlFor = input.id;
    const type = parameter.schema.enum ? limits(parameter.schema).filter(Boolean) : kind(parameter.schema);
    return [label, input, [...prose(parameter.description), " ", made("span", "faint", ...type)]];
  });
  const box = made("form", "try", ...(rows.length ? [table(["Parameter", "Value", ""], rows)] : []));
  const button = made("button", "", "Send");
  const answer = made("pre", "answer");
  answer.setAttribute("role", "log");
  answer.setAttribute("aria-label", `Answer of ${operation.method.toUpperCase()} ${operation.path}`);
  answer.hidden = true;
  box.append(made("p", "", button), answer);
  const send = operation.responses["101"] ? listener(button, answer) : (request) => ask(request, answer);
  box.addEventListener("submit", (event) => {
    event.preventDefault();
    answer.hidden = false;
    send(requestOf(operation, fields));
  });
  return box;
}

function field({ schema, required, name }) {
  const input = made(schema.enum ? "select" : "input");
  if (schema.enum) input.append(...["", ...schema.enum].map((value) => new Option(value, value)));
  else input.type = "text";
  input.name = name;
  input.required = required;
  input.autocomplete = "off";
  return input;
}

function requestOf({ method, path, security }, fields) {
  const given = fields.map(({ parameter, input }) => ({ ...parameter, value: input.value })).filter(({ value }) => value !== "");
  const of = (place) => given.filter((parameter) => parameter.in === place);
  const url = here(of("path").reduce((text, { name, value }) => text.replace(`{${name}}`, encodeURIComponent(value)), path));
  for (const { name, value } of of("query")) url.searchParams.append(name, value);
  const headers = Object.fromEntries(of("header").map(({ name, value }) => [name, value]));
  const token = element("token").value.trim();
  if (token && security.length > 0) headers.Authorization = `Bearer ${token}`;
  return { url, method: method.toUpperCase(), headers, token };
}

async function ask({ url, method, headers }, answer) {
  answer.textContent = `${method} ${url}\n…`;
  try {
    const response = await fetch(url, { method, headers, cache: "no-store" });
    const told = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    answer.textContent = `${method} ${url}\n\n${response.status} ${response.statusText}\n${told}\n\n${await bodyOf(response)}`;
  } catch (error) {
    answer.textContent = `${method} ${url}\n\n${error.message}`;
  }
}

async function bodyOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("json")) return JSON.stringify(await response.json(), null, 2);
  if (/^text\/|svg/.test(type)) return response.text();
  const bytes = (await response.arrayBuffer()).byteLength;
  return bytes ? `(${bytes} bytes)` : "";
}

// The websocket: the button opens and closes it, and its frames are shown as they come.
function listener(button, answer) {
  let socket = null;
  const frames = [];
  const tell = (line) => {
    frames.push(line);
    answer.textContent = frames.slice(-SHOWN_FRAMES).join("\n");
  };
  return ({ url, token }) => {
    if (socket) {
      socket.close();
      return;
    }
    frames.length = 0;
    tell(`GET ${url}`);
    url.protocol = url.protocol.replace("http", "ws");
    socket = new WebSocket(url, ["voicemaild.v1", ...(token ? [`bearer.${token}`] : [])]);
    button.textContent = "Close";
    socket.addEventListener("message", (event) => tell(event.data));
    socket.addEventListener("close", (event) => {
      tell(`closed ${event.code} ${event.reason}`);
      socket = null;
      button.textContent = "Send";
    });
  };
}

element("token").value = sessionStorage.getItem("token") ?? "";
element("token").addEventListener("change", () => sessionStorage.setItem("token", element("token").value.trim()));
element("sign-in").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", openNamed);
try {
  const response = await fetch(here("openapi.json"));
  if (!response.ok) throw new Error(`The answer was ${response.status}.`);
  api = await response.json();
  show();
  openNamed();
} catch (error) {
  element("problem").textContent = `The document cannot be shown: ${error.message}`;
  element("problem").hidden = false;
}
