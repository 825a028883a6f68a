// In the thread of sound: hands on what the microphone gives, some milliseconds at a time.

class Recorder extends AudioWorkletProcessor {
  chunk = new Float32Array(1024);
  filled = 0;

  /** @param {Float32Array[][]} inputs */
  process([[samples]]) {
    if (!samples) return true;
    this.chunk.set(samples, this.filled);
    this.filled += samples.length;
    if (this.filled === this.chunk.length) {
      this.port.postMessage(this.chunk.slice());
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor('recorder', Recorder);
