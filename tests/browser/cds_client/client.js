// A page of an EHR. What a CDS client does is Medplum's: it discovers the services, fills their prefetch templates
// from the FHIR server of this origin, calls them and reads the answer. What that client leaves to the EHR is here:
// signing the calls, showing the cards, sending feedback.
import { MedplumClient, buildCdsRequest } from './node_modules/@medplum/core/dist/esm/index.mjs';

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
const encoded = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

async function signed(ehr, audience) {
  const now = Math.floor(Date.now() / 1000);
  const head = { alg: 'ES384', typ: 'JWT', kid: ehr.kid };
  const claims = { iss: ehr.issuer, aud: audience, iat: now, exp: now + 300, jti: crypto.randomUUID() };
  const curve = { name: 'ECDSA', namedCurve: 'P-384' };
  const key = await crypto.subtle.importKey('jwk', ehr.key, curve, false, ['sign']);
  const text = `${encoded(head)}.${encoded(claims)}`;
  const bytes = new TextEncoder().encode(text);
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-384' }, key, bytes);
  return { Authorization: `Bearer ${text}.${base64url(signature)}` };
}

// What became of the calls of a hook: for each service the cards, or the status and code of the error.
window.fire = async (ehr, base, hook, context) => {
  const options = { baseUrl: location.origin, cdsServicesUrl: `${base}/cds-services`, extendedMode: false, cacheTime: 0 };
  const medplum = new MedplumClient(options);
  const user = await medplum.readResource('Practitioner', context.userId.split('/')[1]);
  const main = document.getElementById('cards');
  main.replaceChildren();
  const { services } = await medplum.getCdsServices();
  const told = [];
  for (const service of services.filter((one) => one.hook === hook)) {
    const url = `${base}/cds-services/${service.id}`;
    const request = await buildCdsRequest(medplum, user, service, context);
    try {
      const { cards } = await medplum.callCdsService(service.id, request, { headers: await signed(ehr, url) });
      main.append(...cards.map((card) => shown(ehr, url, card)));
      told.push({ request, cards });
    } catch (error) {
      told.push({ request, error: error.outcome ?? String(error) });
    }
  }
  return told;
};

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
      const headers = { 'Content-Type': 'application/json', ...(await signed(ehr, `${url}/feedback`)) };
      const body = JSON.stringify({ feedback: [entry] });
      article.dataset.feedback = (await fetch(`${url}/feedback`, { method: 'POST', headers, body })).status;
    });
    article.append(button);
  }
  return article;
}
