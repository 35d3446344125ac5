// The camera as a source of images.

const WIDTH = 640; // pixels of a photo; networks look at fewer

/** Whether this browser lets the page use a camera: over http only on this machine itself. */
export const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);

/** Show the camera in a <video>; return `photo()`, which resolves to a JPEG, and `stop()`. */
export async function openCamera(video) {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { width: { ideal: WIDTH }, facingMode: "environment" },
  });
  video.srcObject = stream;
  await video.play();
  const canvas = document.createElement("canvas");
  return {
    photo() {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    },
    stop() {
      for (const track of stream.getTracks()) track.stop();
      video.srcObject = null;
    },
  };
}
