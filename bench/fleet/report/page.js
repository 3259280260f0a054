const out = document.getElementById('reading');
for (const svg of document.querySelectorAll('svg.curves')) {
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
    const least = 1 / +d.boxes;
    const words = series.filter(g => !g.classList.contains('off')).map(g => {
      const times = g.dataset.times.split(',').map(t => t === '' ? Infinity : +t);
      const level = times.findIndex(t => t > time);
      const left = level < 0 ? 0 : least ** (level / (times.length - 1));
      return g.dataset.label + ': ' + (100 - 100 * left).toPrecision(left < .01 ? 6 : 3) + ' % run';
    });
    out.textContent = time.toPrecision(3) + ' s after power-on: ' + words.join('; ');
  });
}
