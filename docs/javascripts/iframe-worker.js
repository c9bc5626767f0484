// Search without a server: a browser starts no worker for a page that was opened from a disk, so that there the code of the
// worker runs in a hidden frame, behind the part of `Worker` that the search uses.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inner = this.frame.contentWindow;
      const page = this.inner.document;
      page.open();
      page.write("<html><body></body></html>");
      page.close();
      this.inner.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      const load = (source) =>
        new Promise((done, failed) => {
          const script = page.createElement("script");
          script.src = new URL(source, location.href).href;
          script.onload = done;
          script.onerror = failed;
          page.body.append(script);
        });
      this.inner.importScripts = (...sources) => Promise.all(sources.map(load));
      this.ready = load(url);
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
