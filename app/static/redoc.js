import { openapi } from "./document.js";

Redoc.init(await openapi(), { hideDownloadButton: false }, document.getElementById("redoc"));
