// Playing the sound from memory: nothing is fetched, so that it plays from a file without a network.

/** Plays 16-bit samples; `time` in seconds, `onMove(time)` at every frame while it plays, `onEnd()` at the end. */
export class Player {
  constructor(wave, rate, onMove, onEnd) {
    Object.assign(this, { wave, rate, onMove, onEnd });
    this.seconds = wave.length / rate;
    this.offset = 0;
    this.source = null;
  }

  get isPlaying() {
    return this.source !== null;
  }

  get time() {
    if (!this.source) return this.offset;
    return Math.min(this.seconds, this.offset + this.context.currentTime - this.began);
  }

  async play() {
    if (!this.context) {
      this.context = new AudioContext();
      this.buffer = this.context.createBuffer(1, this.wave.length, this.rate);
      this.buffer.copyToChannel(
        Float32Array.from(this.wave, (value) => value / 32768),
        0,
      );
    }
    await this.context.resume();
    if (this.offset >= this.seconds - 0.01) this.offset = 0;
    this.begin();
  }

  begin() {
    const source = this.context.createBufferSource();
    source.buffer = this.buffer;
    source.connect(this.context.destination);
    source.onended = () => {
      if (this.source !== source) return;
      this.source = null;
      this.offset = this.seconds;
      this.onEnd();
    };
    source.start(0, this.offset);
    this.source = source;
    this.began = this.context.currentTime;
    const move = () => {
      if (this.source !== source) return;
      this.onMove(this.time);
      requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  }

  pause() {
    if (!this.source) return;
    this.offset = this.time;
    const source = this.source;
    this.source = null;
    source.stop();
  }

  seek(time) {
    const isPlaying = this.isPlaying;
    this.pause();
    this.offset = Math.min(this.seconds, Math.max(0, time));
    if (isPlaying) this.begin();
  }

  close() {
    this.pause();
    this.context?.close();
  }
}
