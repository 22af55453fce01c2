// c-ares, as Node speaks to it: both families at once, the search list is not applied.
const { Resolver } = require("node:dns").promises;
const name = process.argv[2];
const resolver = new Resolver();
const began = process.hrtime.bigint();
Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]).then((both) => {
  const addresses = both.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
  const codes = both.map((each) => (each.status === "fulfilled" ? "ok" : each.reason.code));
  const none = ["ENOTFOUND", "ENODATA"];
  const said = addresses.length ? "ok" : codes.every((each) => none.includes(each)) ? "none" : "again";
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(JSON.stringify({ said, seconds, addresses, codes }));
});
