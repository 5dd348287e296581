import "./channels.js";
import "./signalling.js";
import "./page.js";
import "./relay.js";
