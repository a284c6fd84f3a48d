
// ---- program.js: walks through the whole model that pthinspect made beforehand, at several sizes -------------------------------

/** `1 × 3 × 224 × 224`, several with "and". */
function inputWords(walk) {
  return walk.inputs.map((input) => input.shape.join(' × ')).join(' and ');
}

/** The whole model, in the order of its program; a choice of inputs. */
function programPart({ walks }) {
  const first = walks[0];
  const body = el('tbody', {});
  const verdict = el('p', { class: 'verdict', 'aria-live': 'polite' });
  const notes = el('div', {});
  const choose = (walk) => {
    const rows = walk.steps.slice(0, 4000);
    fill(body, ...rows.map(programRow), brokenRow(walk));
    verdict.className = `verdict ${walk.verdict === 'fits' ? 'good' : 'bad'}`;
    fill(verdict, ...programVerdict(walk));
    fill(notes, walk.steps.length > rows.length && el('p', { class: 'note' }, `${grouped(walk.steps.length - rows.length)} more steps: `, shapesCommand(walk)),
      walk.assumed_order.length > 0 && el('p', { class: 'note' }, 'What forward does is not in the file: modules are walked in the order of their definition, in ',
        walk.assumed_order.slice(0, 6).map(({ module, class: name }, k) => [k ? ', ' : '', el('code', {}, shorten(module || name, 60))])),
      walk.warnings.slice(0, 6).map((warning) => el('p', { class: 'note' }, visible(warning))));
  };
  const list = el('select', { class: 'sizes', onchange: (event) => choose(walks[Number(event.target.value)]) },
    walks.map((walk, k) => el('option', { value: String(k) }, `${inputWords(walk)}${walk.verdict === 'fits' ? '' : ' (does not fit)'}`)));
  choose(first);
  const steps = el('div', { class: 'scroll' }, el('table', { class: 'walk' },
    el('thead', {}, el('tr', {}, ['layer', 'does', 'sizes', 'output', 'parameters', 'multiply-adds'].map((text) => el('th', { scope: 'col' }, text)))), body));
  return el('div', { class: 'chain program' }, el('h3', {}, visible(first.module || first.class) || 'the whole model'), el('div', { class: 'controls' }, el('label', {}, 'input ', list)),
    verdict, steps, notes, el('p', { class: 'note' }, 'Any other size: ', shapesCommand(first)));
}

function shapesCommand(walk) {
  return command(['shapes', model.document.file, ...walk.inputs.flatMap((input) => ['--input', input.shape.join(',')])]);
}

function programVerdict(walk) {
  const { macs, parameters } = walk.totals;
  if (walk.verdict === 'fits') {
    const outputs = walk.outputs.map((shape) => shape.join(' × ') || 'a number').join(', ');
    return [`${inputWords(walk)} → ${outputs}; ${grouped(parameters)} parameters, ${grouped(macs)} multiply-adds.`];
  }
  if (walk.broken) {
    const { module, op, why } = walk.broken;
    return [el('strong', {}, `Breaks at ${visible(module || op)}: `), visible(why)];
  }
  return [el('strong', {}, 'It ends here: '), visible(walk.lost || 'part of the way is not known')];
}

function programRow(step) {
  const notes = [...new Set(step.formulas.map(([, formula]) => formula))];
  const unread = step.formulas.map(([, , size]) => size).filter(Boolean);
  return el('tr', { class: step.unknown ? 'bad' : null }, el('th', { scope: 'row' }, layerLink(step.module)), el('td', {}, el('code', {}, visible(step.op))),
    el('td', { class: 'formula' }, notes.length ? notes.map((note) => el('div', {}, visible(note))) : step.unknown ? visible(step.unknown) : shorten(step.detail || '', 60),
      unread.length > 0 && el('small', {}, `the stride leaves ${unread.join(' and ')} at the end unread`)),
    el('td', { class: 'num' }, step.outputs.map((shape) => shape.join(' × ')).join(', ') || '?'), el('td', { class: 'num' }, step.parameters ? grouped(step.parameters) : ''),
    el('td', { class: 'num' }, step.macs ? grouped(step.macs) : ''));
}

function brokenRow({ broken }) {
  return broken && el('tr', { class: 'bad' }, el('th', { scope: 'row' }, layerLink(broken.module)), el('td', {}, el('code', {}, visible(broken.op))), el('td', { class: 'formula' }, visible(broken.why)),
    el('td', { class: 'num' }, '✗'), el('td', {}), el('td', {}));
}

/** Whether one of the chains is the whole model and comes through: then any input can be tried. */
function isWholeChain(chain) {
  if (chain.path !== '') return false;
  const rows = walk(chain, usualInput(chain));
  return rows.length > 0 && !rows[rows.length - 1].problem;
}
