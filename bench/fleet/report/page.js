const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
const spoken = time => {
  const [unit, name] = UNITS.find(([unit]) => time >= 2 * unit) || UNITS[3];
  return (time / unit).toPrecision(3) + ' ' + name;
};
for (const svg of document.querySelectorAll('svg.curves')) {
  const out = svg.closest('.read').querySelector('.reading');
  const series = [...svg.querySelectorAll('g.series')], d = svg.dataset;
  for (const g of series) {
    g.addEventListener('click', () => g.classList.toggle('off'));
    g.addEventListener('mouseenter', () => svg.classList.add('dim'));
    g.addEventListener('mouseleave', () => svg.classList.remove('dim'));
  }
  svg.addEventListener('mousemove', event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const share = (at - d.left) / (d.right - d.left);
    if (share < 0 || share > 1) return;
    const low = +d.low, high = +d.high;
    const time = +d.log ? low * (high / low) ** share : low + share * (high - low);
    const levels = d.levels.split(',').map(Number);
    const words = series.filter(g => !g.classList.contains('off')).map(g => {
      const times = g.dataset.times.split(',').map(t => t === '' ? Infinity : +t);
      const level = times.findIndex(t => t > time);
      const left = level < 0 ? 0 : levels[Math.max(0, level - 1)];
      return g.dataset.label + ': ' + (100 - 100 * left).toPrecision(left < .01 ? 6 : 3) + ' %';
    });
    out.textContent = 'After ' + spoken(time) + ': ' + words.join('; ');
  });
}
