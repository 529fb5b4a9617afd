Redoc.init(
  "/openapi.json",
  { hideDownloadButton: false, schemasExpansionLevel: 2, jsonSamplesExpandLevel: 4 },
  document.getElementById("redoc"),
);
