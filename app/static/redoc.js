import { openapi } from "./document.js";

Redoc.init(
  await openapi(),
  { hideDownloadButton: false, schemasExpansionLevel: 2, jsonSamplesExpandLevel: 4 },
  document.getElementById("redoc"),
);
