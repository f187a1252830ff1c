// tuike's script tag: <script async src="https://YOUR-EDGE/t.js" data-pid="PRODUCT"></script>
// It keeps the click that brought the visitor, first-party, sends a view, and sends what the shop
// reports: tuike('conversion', {oid: '1001', amount: '99.00'}). Nothing is kept under GPC or DNT.
(function (w, d, n) {
  var tag = d.currentScript || d.querySelector('script[src*="/t.js"]');
  var end = new URL('e', tag.src).href;
  var shy = n.globalPrivacyControl === true || n.doNotTrack === '1';
  var days = 30;
  var query = new URLSearchParams(w.location.search);

  function first(names) {
    for (var i = 0; i < names.length; i++) {
      var value = query.get(names[i]);
      if (value) return value;
    }
    return '';
  }

  function kept() {
    try {
      var it = JSON.parse(w.localStorage.getItem('tuike') || '{}');
      return it.until > Date.now() ? it : {};
    } catch (e) {
      return {};
    }
  }

  var click = first(['click_id', 'clickid', 'transaction_id', 'tid', 'cid']);
  var aff = first(['aff', 'affiliate_id', 'aff_id', 'affid', 'via', 'uid']);
  var mine = { click_id: click, aff: aff };
  if (click || aff) {
    if (!shy) {
      try {
        mine.until = Date.now() + days * 864e5;
        w.localStorage.setItem('tuike', JSON.stringify(mine));
      } catch (e) {}
    }
  } else {
    mine = shy ? {} : kept();
  }

  function send(type, more) {
    var it = { type: type };
    function add(from) {
      for (var k in from) if (from[k] !== undefined && from[k] !== null && from[k] !== '') it[k] = String(from[k]);
    }
    add({ click_id: mine.click_id, aff: mine.aff, pid: tag.getAttribute('data-pid') });
    if (shy) it.consent = '0';
    add(more);
    // text/plain needs no preflight, so the beacon goes out even while the page unloads
    var body = new Blob([JSON.stringify(it)], { type: 'text/plain' });
    if (!(n.sendBeacon && n.sendBeacon(end, body)) && w.fetch)
      w.fetch(end, { method: 'POST', body: body, keepalive: true, credentials: 'include' }).catch(function () {});
  }

  var waiting = (w.tuike && w.tuike.q) || [];
  w.tuike = function (type, more) {
    send(type, more || {});
  };
  if (mine.aff || mine.click_id) send('view', { ref: d.referrer.slice(0, 512) });
  for (var i = 0; i < waiting.length; i++) w.tuike.apply(null, waiting[i]);
})(window, document, navigator);
