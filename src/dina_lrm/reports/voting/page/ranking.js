"use strict";
// How the model that learns from the votes ranks pictures that nobody votes on: best, middle and worst.

const find = id => document.getElementById(id);
let version = "";

export const showRanking = async (ranking, pictures) => {
  if (!ranking || ranking.told === version) return;
  version = ranking.told;
  const told = await Promise.all(ranking.pictures.map(async place => {
    const image = (await pictures.picture(place.key)).cloneNode();
    image.alt = "place " + place.place;
    const caption = document.createElement("figcaption");
    const moved = place.moved === 0 ? "" : place.moved > 0 ? " ▲" + place.moved : " ▼" + -place.moved;
    caption.textContent = place.place + moved;
    const figure = document.createElement("figure");
    figure.append(image, caption);
    return figure;
  })).catch(() => null);
  if (!told || version !== ranking.told) return;
  find("ranking-told").textContent = ranking.told;
  find("strip").replaceChildren(...told);
  find("ranking").hidden = false;
};
