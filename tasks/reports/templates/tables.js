// Tables are sorted by the heads of their columns and saved as CSV; on a narrow screen each cell names its column.
for (const table of document.querySelectorAll("table")) {
  const head = table.rows[0];
  if (!head || [...head.cells].some(cell => cell.tagName !== "TH")) continue;
  const rows = [...table.rows].slice(1);
  const read = cell => [...cell.childNodes].map(node => node.textContent.replace(/\s+/g, " ").trim()).filter(Boolean).join("; ");
  const names = [...head.cells].map(read);
  const labels = [...head.cells].map(cell => cell.firstChild ? cell.firstChild.textContent.trim() : "");
  for (const row of rows) [...row.cells].forEach((cell, n) => { if (cell.colSpan === 1) cell.dataset.label = labels[n]; });
  if (names.length > 3 && !table.classList.contains("beside")) table.classList.add("labelled");
  if (rows.length < 2) continue;

  const number = text => { const found = text.replace(/,/g, "").match(/[-+]?\d*\.?\d+(e[-+]?\d+)?/); return found ? +found[0] : -Infinity; };
  [...head.cells].forEach((cell, n) => {
    const sort = document.createElement("button");
    sort.className = "sort";
    sort.append(...cell.childNodes);
    cell.append(sort);
    sort.addEventListener("click", () => {
      const sign = cell.ariaSort === "ascending" ? -1 : 1;
      for (const other of head.cells) other.ariaSort = null;
      cell.ariaSort = sign > 0 ? "ascending" : "descending";
      const key = row => row.cells[n] ? read(row.cells[n]) : "";
      const order = cell.classList.contains("number")
        ? (a, b) => number(key(a)) - number(key(b))
        : (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
      rows.sort((a, b) => sign * order(a, b));
      (rows[0].parentNode).append(...rows);
    });
  });

  const save = document.createElement("button");
  save.className = "csv";
  save.textContent = "CSV";
  save.title = "Save this table as CSV";
  save.addEventListener("click", () => {
    // a text that a spreadsheet would take for a formula begins with an apostrophe
    const quote = text => `"${(/^(?:[=@]|[-+](?![\d.]))/.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;
    const lines = [names, ...rows.map(row => [...row.cells].map(read))].map(cells => cells.map(quote).join(","));
    const link = document.createElement("a");
    const title = table.closest("section, details, body").querySelector("h2, h3, summary, h1");
    link.download = `${((title && title.textContent) || "table").trim().slice(0, 60).replace(/[^A-Za-z0-9]+/g, "_")}.csv`;
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.click();
    URL.revokeObjectURL(link.href);
  });
  (table.closest(".wide") || table).after(save);
}
