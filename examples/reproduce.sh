# SPDX-License-Identifier: Unlicense OR MIT-0
# What reproduce_sam.sh and reproduce_mlnet.sh share: heads of a network learn on the features of a frozen
# ImageNet backbone; test pictures are scored; a paper's claims are put to the test. Not run by itself.
#
# The caller sets data, out, build, set (a folder of data), size, threads, recipe, backbone, keep (whose weights stay).

learn() {           # NAME FEATURES OPTIONS...: trains OUT/NAME.safetensors, once, and scores it: OUT/NAME.csv
    name=$1 features=$2; shift 2
    [ -f "$out/$name.csv" ] && return
    "$build/train" $recipe --backbone "$backbone" --freeze backbone. --features "$out/$features.features" \
        --data "$data/$set" --test-share 0.1 --input $size --threads $threads --out "$out/$name.safetensors" \
        --resume --quiet "$@"
    score "$name" "$out/$name.safetensors"
    rm -f "$out/$name.safetensors.state"
    case " $keep " in *" ${name%-*} "*) ;; *) rm -f "$out/$name.safetensors" ;; esac    # up to 200 MB each
}
score() {           # NAME WEIGHTS OPTIONS...: OUT/NAME.csv, a line for each test picture
    name=$1 weights=$2; shift 2
    "$build/evaluate" -w "$weights" --data "$data/$set" --test-share 0.1 --metrics CC,sAUC,AUC,NSS \
        --threads $threads --quiet --csv "$out/$name.part" "$@"
    mv "$out/$name.part" "$out/$name.csv"
}
table() {           # FILE TITLE ROW=LABEL=PUBLISHED...: mean of each metric over pictures and seeds, as CSV
    file=$1; shift
    echo "what,CC,CC_se,sAUC,AUC,NSS,NSS_se,seeds,published_CC" >"$file"
    for row; do
        name=${row%%=*} label=${row#*=}
        ls "$out/$name"-[0-9]*.csv >/dev/null 2>&1 || continue
        awk -F, -v label="${label%=*}" -v published="${label##*=}" '
            FNR == 1 { seeds++; for (i = 1; i <= NF; i++) at[$i] = i; next }
            { n++; for (m in at) sum[m] += $at[m]; cc[$at["image"]] += $at["CC"]; nss[$at["image"]] += $at["NSS"] }
            function se(x,   i, k, s, q) { for (i in x) { k++; s += x[i] / seeds; q += (x[i] / seeds)^2 }
                return sqrt((q / k - (s / k)^2) / (k - 1)) }
            END { printf "%s,%.4f,%.4f,%.4f,%.4f,%.3f,%.3f,%d,%s\n", label, sum["CC"] / n, se(cc), sum["sAUC"] / n,
                  sum["AUC"] / n, sum["NSS"] / n, se(nss), seeds, published }' "$out/$name"-[0-9]*.csv >>"$file"
    done
    cat "$file"
}
claim() {           # METRIC A B SENTENCE: A scores higher than B, in pairs: each picture, mean over the seeds
    ls "$out/$2"-[0-9]*.csv "$out/$3"-[0-9]*.csv >/dev/null 2>&1 || return 0
    metric=$1 a=$2 b=$3; shift 3
    for file in "$out/$a"-[0-9]*.csv; do echo "$file a"; done >"$out/pairs"
    for file in "$out/$b"-[0-9]*.csv; do echo "$file b"; done >>"$out/pairs"
    awk -v metric="$metric" -v sentence="$*" '
        { n[$2]++
          for (first = 1; (getline line < $1) > 0; first = 0) {
              split(line, x, ",")
              if (first) { for (i in x) at[x[i]] = i; continue }
              sum[x[at["image"]], $2] += x[at[metric]]; picture[x[at["image"]]] = 1 } }
        END { for (p in picture) { d = sum[p, "a"] / n["a"] - sum[p, "b"] / n["b"]; k++; s += d; q += d * d }
            m = s / k; e = sqrt((q / k - m * m) / (k - 1)); t = e > 0 ? m / e : 0
            printf "%s: %s (%s %+.4f, standard error %.4f over %d pictures; seeds %d and %d)\n", sentence,
                   (t > 2 ? "holds" : t < -2 ? "does not hold" : "cannot be told"), metric, m, e, k, n["a"], n["b"] }' "$out/pairs"
    rm -f "$out/pairs"
}
draw() {            # FILE.csv COLUMN TITLE >FILE.svg: bars, with two standard errors if the next column has them
    awk -F, -v column="$2" -v title="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; c = at[column]; e = at[column "_se"]; next }
        { label[++n] = $1; v[n] = $c; d[n] = e ? 2 * $e : 0; if (v[n] + d[n] > high) high = v[n] + d[n] }
        END {
            printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"%d\" font-family=\"sans-serif\" " \
                   "font-size=\"12\">\n<rect width=\"720\" height=\"%d\" fill=\"white\"/>\n<text x=\"300\" y=\"20\" " \
                   "font-weight=\"bold\">%s</text>\n", 50 + 24 * n, 50 + 24 * n, title
            for (k = 1; k <= n; k++) { y = 14 + 24 * k; w = 340 * v[k] / high
                printf "<text x=\"292\" y=\"%d\" text-anchor=\"end\">%s</text><rect x=\"300\" y=\"%d\" width=\"%.1f\" " \
                       "height=\"16\" fill=\"#1b6ca8\"/>", y + 16, label[k], y + 3, w
                if (d[k]) printf "<path d=\"M%.1f %d H%.1f\" stroke=\"#d95f02\" stroke-width=\"2\"/>",
                                 300 + 340 * (v[k] - d[k]) / high, y + 11, 300 + 340 * (v[k] + d[k]) / high
                printf "<text x=\"%.1f\" y=\"%d\">%.3f</text>\n", 306 + 340 * (v[k] + d[k]) / high, y + 16, v[k] }
            print "</svg>" }' "$1"
}
