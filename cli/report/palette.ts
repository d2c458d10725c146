/**
 * The colours of charts and pictures. Series take those of M. Okabe and K. Ito, "Color Universal Design" (2008), which
 * people with any of the usual colour blindnesses tell apart; lines differ in their dashes, too.
 */

export const INK = '#1b1e22';
export const MUTED = '#555b63';
export const GRID_LINE = '#dfe2e6';
export const PAPER = '#ffffff';

export const BLUE = '#0072b2';
export const VERMILLION = '#d55e00';
export const GREEN = '#009e73';
export const PURPLE = '#cc79a7';
export const ORANGE = '#e69f00';
export const SKY = '#56b4e9';
export const YELLOW = '#f0e442';

/** Colours for several runs, in the order in which they are given out. */
export const SERIES = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY];

/** The page's variable for each colour: `page.css` gives each a value on light and on dark ground. */
const VARIABLES: Record<string, string> = {
  [INK]: '--ink',
  [MUTED]: '--muted',
  [GRID_LINE]: '--grid-line',
  [PAPER]: '--paper',
  [BLUE]: '--blue',
  [VERMILLION]: '--vermillion',
  [GREEN]: '--green',
  [PURPLE]: '--purple',
  [ORANGE]: '--orange',
  [SKY]: '--sky',
};

/** A colour of this file as the page writes it. */
export const pageColour = (colour: string): string => (VARIABLES[colour] ? `var(${VARIABLES[colour]})` : colour);

/** An SVG whose colours follow the page that it stands in. */
export function withPageColours(svg: string): string {
  return Object.keys(VARIABLES).reduce(
    (text, colour) => text.replaceAll(`"${colour}"`, `"${pageColour(colour)}"`),
    svg,
  );
}
