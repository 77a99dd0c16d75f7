pragma circom 2.1.0;

// The credit example's shape in integers: Linear(10, 32), ReLU, Linear(32, 1). Weights are constants of the circuit, made
// up by a formula: what verifying costs does not depend on them.

function weight(i, j) {
    return (37 * i * i + 101 * j * j + 17 * i * j + 29) % 255 - 127;
}

// bits of `in`, least significant first: `in` is in [0, 2^n)
template Bits(n) {
    signal input in;
    signal output bit[n];
    var sum = 0;
    for (var i = 0; i < n; i++) {
        bit[i] <-- (in >> i) & 1;
        bit[i] * (bit[i] - 1) === 0;
        sum += bit[i] * 2 ** i;
    }
    sum === in;
}

// max(in, 0) for `in` in [-2^n, 2^n)
template Relu(n) {
    signal input in;
    signal output out;
    component bits = Bits(n + 1);
    bits.in <== in + 2 ** n;
    out <== in * bits.bit[n];
}

template Credit() {
    // every feature has at most 15 bits
    signal input feature[10];
    signal output score;
    component domain[10];
    for (var i = 0; i < 10; i++) {
        domain[i] = Bits(15);
        domain[i].in <== feature[i];
    }
    component relu[32];
    var sum = weight(32, 10);
    for (var j = 0; j < 32; j++) {
        // |bias| + 10 * 127 * 2^15 < 2^26
        var z = 1000 * weight(j, 10);
        for (var i = 0; i < 10; i++) {
            z += weight(j, i) * feature[i];
        }
        relu[j] = Relu(26);
        relu[j].in <== z;
        sum += weight(32, j) * relu[j].out;
    }
    score <== sum;
}
