// What @moq/net needs of Node 22 and Node 20 lacks. To be imported before it.
if (typeof Promise.withResolvers !== "function") {
  Promise.withResolvers = function () {
    const out = {};
    out.promise = new this((resolve, reject) => Object.assign(out, { resolve, reject }));
    return out;
  };
}
if (typeof Set.prototype.difference !== "function") {
  Set.prototype.difference = function (other) {
    return new Set([...this].filter((each) => !other.has(each)));
  };
}
