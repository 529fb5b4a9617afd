// The API key, where one is set: kept for this tab alone, and sent with every request for data.

const NAME = "headrace-key";

export const storedKey = () => sessionStorage.getItem(NAME) ?? "";

export const storeKey = (key) => (key ? sessionStorage.setItem(NAME, key) : sessionStorage.removeItem(NAME));

export const keyHeaders = () => (storedKey() ? { "X-API-Key": storedKey() } : {});
