"""The looks of the HTML report: light and dark, for a screen of any width, and for paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--paper:#f6f7f9;--card:#fff;--ink:#16202c;--soft:#556273;--line:#dfe4ea;--code:#f1f3f6;
--pass:#0f7a4f;--pass-bg:#e4f4ec;--weak:#8a5a00;--weak-bg:#fdf1d6;--fail:#b3261e;--fail-bg:#fbe6e4;
--unseen:#5c6876;--unseen-bg:#eceff3;--accent:#1f5fbf;--out:#1f5fbf;--in:#8b3fa8}
@media (prefers-color-scheme:dark){:root{--paper:#10151b;--card:#18202a;--ink:#e6ebf1;--soft:#9aa8b8;--line:#2a3542;
--code:#111820;--pass:#56cf98;--pass-bg:#12301f;--weak:#f0b849;--weak-bg:#352a0e;--fail:#ff8a80;--fail-bg:#3b1715;
--unseen:#94a1b0;--unseen-bg:#222c37;--accent:#7db0ff;--out:#7db0ff;--in:#d69bee}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,main,footer{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--card);padding:.5rem 1rem}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:6px}
.kicker{margin:0;color:var(--soft);font-size:.85rem;letter-spacing:.08em;text-transform:uppercase}
h1{margin:.1rem 0 .3rem;font-size:clamp(1.8rem,5vw,2.8rem);line-height:1.15;letter-spacing:-.02em;
overflow-wrap:anywhere}
.head{display:grid;grid-template-columns:1fr auto;gap:2rem;align-items:center}
.verdict{margin:.2rem 0 1rem;font-size:1.15rem;font-weight:600}
.verdict.pass{color:var(--pass)}.verdict.weak{color:var(--weak)}.verdict.fail{color:var(--fail)}
.facts{margin:0;display:grid;gap:.15rem}
.facts div{display:grid;grid-template-columns:9rem 1fr;gap:.75rem}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.ring{width:11rem;height:11rem}
.ring circle{fill:none;stroke-width:9}.ring .track{stroke:var(--line)}
.ring .arc{stroke-linecap:round}
.ring.pass .arc{stroke:var(--pass)}.ring.weak .arc{stroke:var(--weak)}.ring.fail .arc{stroke:var(--fail)}
.ring text{text-anchor:middle;fill:var(--ink)}
.ring .number{font-size:26px;font-weight:700}.ring .of{font-size:10px;fill:var(--soft)}
.tally{list-style:none;display:flex;flex-wrap:wrap;gap:.6rem;padding:0;margin:1.4rem 0 .4rem}
.tally li{padding:.3rem .8rem;border-radius:99px;font-weight:600;font-size:.95rem}
.remark{margin:.4rem 0;color:var(--soft)}
.tally .pass,.chip-pass{background:var(--pass-bg);color:var(--pass)}
.tally .weak{background:var(--weak-bg);color:var(--weak)}
.tally .fail{background:var(--fail-bg);color:var(--fail)}
.tally .unseen{background:var(--unseen-bg);color:var(--unseen)}
.cards{list-style:none;padding:0;margin:1.2rem 0 2rem;display:grid;gap:.8rem;
grid-template-columns:repeat(auto-fill,minmax(min(18rem,100%),1fr))}
.card{display:grid;grid-template-columns:auto 1fr auto;gap:.35rem .6rem;align-items:center;text-decoration:none;
color:inherit;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.85rem 1rem;
border-left:5px solid var(--unseen)}
.card:hover{border-color:var(--accent)}
.card.pass{border-left-color:var(--pass)}.card.weak{border-left-color:var(--weak)}
.card.fail{border-left-color:var(--fail)}
.card .title{font-weight:600}.card .score{font-size:1.25rem;font-weight:700;font-variant-numeric:tabular-nums}
.count{display:inline-grid;place-items:center;width:1.6em;height:1.6em;border-radius:50%;background:var(--unseen-bg);
color:var(--soft);font-size:.8rem;font-weight:700;vertical-align:middle}
.bars{grid-column:1/-1;width:100%;height:8px}
.bars .pass{fill:var(--pass)}.bars .weak{fill:var(--weak)}.bars .fail{fill:var(--fail)}
.bars .unseen{fill:var(--line)}
section{margin:0 0 2.4rem;scroll-margin-top:1rem}
h2{margin:0 0 .1rem;font-size:1.45rem;letter-spacing:-.01em}
h2 small{font-size:1rem;font-weight:500;color:var(--soft);margin-left:.4rem}
.demand{margin:0 0 .8rem;color:var(--soft)}
.finding{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:.5rem 0;overflow:hidden}
.finding>summary{display:grid;grid-template-columns:auto 1fr auto;gap:.7rem;align-items:center;cursor:pointer;
padding:.6rem .9rem;list-style:none}
summary::-webkit-details-marker{display:none}
.finding>summary:hover{background:var(--code)}
.sign{display:grid;place-items:center;width:1.55rem;height:1.55rem;border-radius:50%;font-size:.95rem}
.what{font-weight:600}
.chip{font-size:.82rem;font-weight:600;padding:.1rem .6rem;border-radius:99px;white-space:nowrap}
.pass>summary .sign,.pass>summary .chip{background:var(--pass-bg);color:var(--pass)}
.weak>summary .sign,.weak>summary .chip{background:var(--weak-bg);color:var(--weak)}
.fail>summary .sign,.fail>summary .chip{background:var(--fail-bg);color:var(--fail)}
.unseen>summary .sign,.unseen>summary .chip{background:var(--unseen-bg);color:var(--unseen)}
.body{padding:0 1rem 1rem 3.2rem}
.body p{margin:.25rem 0;overflow-wrap:anywhere}
.meaning{font-style:italic}
.clause{color:var(--soft);font-size:.9rem}
.probe{margin-left:.6rem;font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:.85em}
.fix{margin:.7rem 0;border:1px solid var(--line);border-radius:8px;overflow:hidden}
.fix div{display:grid;grid-template-columns:6.5rem 1fr;border-top:1px solid var(--line)}
.fix div:first-child{border-top:0}
.fix dt{padding:.45rem .7rem;color:var(--soft);background:var(--code);font-size:.9rem}
.fix dd{margin:0;padding:.45rem .7rem;min-width:0}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86rem}
code{white-space:pre-wrap;overflow-wrap:anywhere}
.evidence{margin:.6rem 0 0}
.evidence>summary{cursor:pointer;list-style:none;color:var(--accent);font-size:.95rem;width:max-content}
.evidence>summary::before{content:"▸ "}.evidence[open]>summary::before{content:"▾ "}
figure{margin:.7rem 0 0;border-left:3px solid var(--out);padding-left:.8rem}
figure.in{border-left-color:var(--in);margin-left:1.5rem}
figcaption{font-size:.85rem;color:var(--out)}figure.in figcaption{color:var(--in)}
pre{margin:.25rem 0 0;padding:.6rem .8rem;background:var(--code);border-radius:8px;overflow-x:auto;line-height:1.4}
.more{color:var(--soft);font-size:.9rem}
footer{padding-bottom:3rem;color:var(--soft);font-size:.9rem;border-top:1px solid var(--line);padding-top:1rem}
@media (max-width:40rem){.head{grid-template-columns:1fr}.ring{width:8rem;height:8rem}
.facts div{grid-template-columns:1fr;gap:0}
.body{padding-left:1rem}.fix div{grid-template-columns:1fr}figure.in{margin-left:0}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{:root{--paper:#fff;--card:#fff;--code:#f6f6f6}body{font-size:11pt}.skip,.evidence{display:none}
.finding,.card{break-inside:avoid}.card{border-width:1px 1px 1px 5px}section{break-before:auto}
details.finding::details-content{content-visibility:visible}}
"""
