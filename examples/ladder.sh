#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The ladder of the networks: how well each predicts against how long it takes, as one plot.
#
#     sh examples/ladder.sh DATA OUT [BUILD] [WEIGHTS]
#
# DATA has osie/, scene/, mit1003/, figrim/ (those that are there are used); OUT gets ladder.csv and ladder.svg;
# BUILD has evaluate, bench and inspect (default build); WEIGHTS the trained files (default weights). Scores are
# the mean over the sets on the tenth of each that training left out (SHARE=0.1); milliseconds are of one thread.
set -e
data=${1:?DATA} out=${2:?OUT} build=${3:-build} weights=${4:-weights} threads=${THREADS:-2} share=${SHARE:-0.1}
number() { sed -n "s/.*\"$1\":{*\(\"mean\":\)*\([-0-9.e+]*\).*/\2/p" "$2"; }
mkdir -p "$out"

echo "network,parameters_millions,milliseconds,CC,NSS" >"$out/ladder.csv"
for name in juntingnet wepsam lite mlnet sam-vgg sam-resnet; do
    file=$weights/$name.safetensors
    [ -f "$file" ] || { echo "no $file: left out"; continue; }
    : >"$out/scores"
    for set in osie scene mit1003 figrim; do
        [ -d "$data/$set" ] || continue
        "$build/evaluate" -w "$file" --data "$data/$set" --test-share $share --metrics CC,NSS --threads $threads \
            --quiet --json "$out/one.json"
        echo "$(number CC "$out/one.json") $(number NSS "$out/one.json")" >>"$out/scores"
    done
    [ -s "$out/scores" ] || { echo "skip: $data has none of the data sets"; exit 0; }
    "$build/bench" -w "$file" --threads 1 --json >"$out/one.json"
    millions=$("$build/inspect" "$file" | sed -n 's/.*(\([0-9.]*\) million).*/\1/p' | head -n 1)
    awk -v name=$name -v millions="$millions" -v ms="$(number median "$out/one.json")" '{ cc += $1; nss += $2 }
        END { printf "%s,%s,%.1f,%.3f,%.3f\n", name, millions, ms, cc / NR, nss / NR }' "$out/scores" |
        tee -a "$out/ladder.csv"
done
rm -f "$out/scores" "$out/one.json"

# Milliseconds on a logarithmic axis, CC upwards, the area of each circle as its parameters.
awk -F, 'NR == 1 { next }
    { n++; name[n] = $1; millions[n] = $2; ms[n] = $3; cc[n] = $4
      if (n == 1 || $4 < low) low = $4
      if ($4 > high) high = $4 }
    function x(t) { return 80 + 560 * log(t) / log(10000) }           # 1 ms to 10 s
    function y(v) { return 360 - 300 * (v - low) / (high - low) }
    END {
        low = int(low * 20) / 20; high = int(high * 20 + 1) / 20
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"430\" font-family=\"sans-serif\" " \
              "font-size=\"13\">\n<rect width=\"720\" height=\"430\" fill=\"white\"/>"
        for (t = 1; t <= 10000; t *= 10)
            printf "<path d=\"M%.1f 50 V360\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"380\" text-anchor=\"middle\">" \
                   "%d</text>\n", x(t), x(t), t
        for (v = low; v <= high + 1e-9; v += .05)
            printf "<path d=\"M80 %.1f H640\" stroke=\"#ddd\"/><text x=\"70\" y=\"%.1f\" text-anchor=\"end\">%.2f" \
                   "</text>\n", y(v), y(v) + 4, v
        print "<text x=\"360\" y=\"405\" text-anchor=\"middle\">milliseconds for one picture, one thread</text>"
        print "<text x=\"80\" y=\"34\">CC on held-out pictures; the area of a circle is the number of parameters</text>"
        for (k = 1; k <= n; k++) {
            left = x(ms[k]) + 4 + 3 * sqrt(millions[k]); top = y(cc[k]) + 4
            for (j = 1; j <= n; j++)        # above its circle where another one is close to the right
                if (ms[j] > ms[k] && x(ms[j]) < left + 100 && y(cc[j]) > top - 20 && y(cc[j]) < top + 12)
                    { left = x(ms[k]) - 30; top = y(cc[k]) - 4 - 3 * sqrt(millions[k]); break }
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"0.75\"/><text x=\"%.1f\" " \
                   "y=\"%.1f\">%s, %.1f M</text>\n", x(ms[k]), y(cc[k]), 3 * sqrt(millions[k]),
                   name[k] == "lite" ? "#d95f02" : "#1b6ca8", left, top, name[k], millions[k]
        }
        print "</svg>" }' "$out/ladder.csv" >"$out/ladder.svg"
