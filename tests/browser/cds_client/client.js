// A client of CDS Hooks 2.0, written after the specification and for no service in particular: it discovers services,
// fills their prefetch templates from a FHIR store, signs its calls, shows cards, and sends feedback.
'use strict';

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
const encoded = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

async function sign(ehr, audience) {
  const now = Math.floor(Date.now() / 1000);
  const head = { alg: 'ES384', typ: 'JWT', kid: ehr.kid };
  const claims = { iss: ehr.issuer, aud: audience, iat: now, exp: now + 300, jti: crypto.randomUUID() };
  const curve = { name: 'ECDSA', namedCurve: 'P-384' };
  const key = await crypto.subtle.importKey('jwk', ehr.key, curve, false, ['sign']);
  const text = `${encoded(head)}.${encoded(claims)}`;
  const bytes = new TextEncoder().encode(text);
  return `${text}.${base64url(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-384' }, key, bytes))}`;
}

async function post(ehr, url, body) {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${await sign(ehr, url)}` };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

// The searches of FHIR that templates use: by patient, status, and code as system|code or system|.
function matches(resource, name, value) {
  if (name === 'patient') return resource.subject?.reference === `Patient/${value}`;
  if (name === 'status') return value.split(',').includes(resource.status);
  if (name === 'code') {
    const codings = resource.code?.coding ?? [];
    return value.split(',').some((token) => {
      const [system, code] = token.split('|');
      return codings.some((one) => one.system === system && (code === '' || one.code === code));
    });
  }
  throw new Error(`the store does not know how to search by ${name}`);
}

function fetched(store, query) {
  const [path, search] = query.split('?');
  if (search === undefined) {
    const [type, id] = path.split('/');
    return store.find((one) => one.resourceType === type && one.id === id) ?? null;
  }
  const wanted = search.split('&').map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]);
  const found = store.filter(
    (one) => one.resourceType === path && wanted.every(([name, value]) => matches(one, name, value)),
  );
  return { resourceType: 'Bundle', type: 'searchset', total: found.length, entry: found.map((resource) => ({ resource })) };
}

function filled(template, context) {
  return template.replace(/\{\{context\.(\w+)\}\}/g, (_, name) => context[name]);
}

// eslint-disable-next-line no-unused-vars
async function fire(ehr, base, hook, context) {
  const { services } = await (await fetch(`${base}/cds-services`)).json();
  const main = document.getElementById('cards');
  main.replaceChildren();
  const statuses = [];
  for (const service of services.filter((one) => one.hook === hook)) {
    const prefetch = {};
    for (const [key, template] of Object.entries(service.prefetch ?? {})) {
      prefetch[key] = fetched(ehr.store, filled(template, context));
    }
    const url = `${base}/cds-services/${service.id}`;
    const body = { hook, hookInstance: crypto.randomUUID(), context, prefetch };
    const response = await post(ehr, url, body);
    statuses.push(response.status);
    if (response.ok) main.append(...(await response.json()).cards.map((card) => shown(ehr, url, card)));
  }
  return statuses;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shown(ehr, url, card) {
  const article = element('article', '', { class: card.indicator, id: card.uuid });
  article.append(element('h2', card.summary), element('pre', card.detail ?? ''));
  article.append(element('p', card.source.label, { class: 'source' }));
  for (const link of card.links ?? []) article.append(element('a', link.label, { href: link.url }));
  for (const reason of card.overrideReasons ?? []) {
    const button = element('button', reason.display, { 'data-code': reason.code });
    button.addEventListener('click', async () => {
      const entry = {
        card: card.uuid,
        outcome: 'overridden',
        overrideReason: { reason: { system: reason.system, code: reason.code } },
        outcomeTimestamp: new Date().toISOString(),
      };
      const response = await post(ehr, `${url}/feedback`, { feedback: [entry] });
      article.dataset.feedback = response.status;
    });
    article.append(button);
  }
  return article;
}
