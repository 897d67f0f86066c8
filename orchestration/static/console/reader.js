/* Tells the server the browser's time zone, by a cookie: pages are in it from the next one on. It is set on the
   page of signing in already. */
(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  if (!/^[A-Za-z0-9_+\-/]{1,64}$/.test(zone)) return;
  const said = `agentsys_zone=${zone}`;
  if (document.cookie.split("; ").includes(said)) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${said}; path=/; max-age=31536000; samesite=lax${secure}`;
})();
