// The two tabs of the admin page, each with an address of its own: #status and #console. `#explain?url=…` opens the console with
// an explanation.
const TABS = ['status', 'console'];

const at = (id) => document.getElementById(id);

function show() {
  const [name] = location.hash.replace('#', '').split('?');
  const chosen = name === 'explain' || name === 'console' ? 'console' : 'status';
  for (const tab of TABS) {
    const selected = tab === chosen;
    at(`view-${tab}`).hidden = !selected;
    at(`tab-${tab}`).setAttribute('aria-selected', String(selected));
    at(`tab-${tab}`).tabIndex = selected ? 0 : -1;
  }
  document.title = chosen === 'status' ? 'Upgate status' : 'Upgate console';
  dispatchEvent(new CustomEvent('upgate-view', { detail: { view: chosen } }));
}

function onKey(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const next =
    TABS[(TABS.findIndex((tab) => event.currentTarget.id === `tab-${tab}`) + step + TABS.length) % TABS.length];
  location.hash = next;
  at(`tab-${next}`).focus();
}

for (const tab of TABS) {
  at(`tab-${tab}`).addEventListener('click', () => {
    location.hash = tab;
  });
  at(`tab-${tab}`).addEventListener('keydown', onKey);
}
addEventListener('hashchange', show);
show();
