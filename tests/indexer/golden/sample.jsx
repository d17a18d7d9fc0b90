const path = require("node:path");
const { join } = path;

class Timer extends React.Component {
  tick() {
    this.setState({ now: Date.now() });
  }
}

// Shows a list.
export function List({ items, onPick }) {
  const label = items.length;
  return (
    <ul className="list">
      {items.map((item) => (
        <li key={item.id} onClick={() => onPick(item)}>{item.name}</li>
      ))}
    </ul>
  );
}

module.exports = {
  create(context) {
    return context;
  },
  parse: function (text) {
    return text;
  },
};

Timer.prototype.reset = function () {
  this.now = 0;
};
exports.VERSION = "1";
var count = 0;
