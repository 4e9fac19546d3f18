// The parameters of a query, as application/x-www-form-urlencoded reads them (WHATWG URL §5.1). Pure.

/**
 * Reads a query, without its `?`. For each part without an `=`, URLSearchParams of node 24 and 26 looks for one up to the end of
 * the query, which takes time by the square of its length. So each part gets one, which changes nothing of what is read.
 * It leaves out one `?` at the beginning: that of the query, and not that of a name.
 */
export function parametersOf(query: string): URLSearchParams {
  const parts = query.split('&').map((part) => (part === '' || part.includes('=') ? part : `${part}=`));
  return new URLSearchParams(`?${parts.join('&')}`);
}
