package hevc

// Bounds of parameter sets.
const (
	maxSets = 64 // picture parameter sets (7.4.3.3.1)
	maxSPS  = 16
	maxSide = 1 << 16
)

// sps is a sequence parameter set (7.3.2.2), as far as intra pictures need it.
type sps struct {
	chroma                   int // ChromaArrayType
	width, height            int
	left, right, top, bottom int // the conformance window's offsets in luma samples
	depth, depthC            int
	log2MaxPOC               int
	log2MinCb, log2Ctb       int
	log2MinTb, log2MaxTb     int
	maxDepthIntra            int
	scalingList              bool
	lists                    *scalingLists
	sao                      bool
	pcm, pcmNoFilter         bool
	pcmDepth, pcmDepthC      int
	log2MinPCM, log2MaxPCM   int
	refSets                  [][]int // the delta POCs of each short-term set
	longTerm                 bool
	longTermSPS              int
	temporalMVP              bool
	strongSmoothing          bool
	rotateSkip, contextSkip  bool
	implicitRDPCM            bool
	noSmoothing              bool
	persistentRice           bool
	alignBypass              bool
	colour                   Colour
	subW, subH               int // log2 of SubWidthC and SubHeightC
	widthCtbs, heightCtbs    int
}

// pps is a picture parameter set (7.3.2.3).
type pps struct {
	sps                              int
	dependentSlices, outputFlag      bool
	extraBits                        int
	signHiding                       bool
	initQP                           int
	transformSkip                    bool
	cuQPDelta                        bool
	qpDeltaDepth                     int
	cbOffset, crOffset               int
	sliceChromaOffsets               bool
	transquantBypass                 bool
	tiles, wavefront                 bool
	columns, rows                    int
	uniform                          bool
	columnWidths, rowHeights         []int // all but the last, where not uniform
	acrossTiles, acrossSlices        bool
	deblockOverride, deblockDisabled bool
	beta, tc                         int // offsets, already doubled
	scalingList                      bool
	lists                            *scalingLists
	listsModification                bool
	headerExtension                  bool
	log2MaxSkip                      int
	crossComponent                   bool
	chromaOffsetLists                bool
	chromaOffsetDepth                int
	cbList, crList                   []int
	saoShift, saoShiftC              int
}

// Colour is how the samples are meant (Annex E.2.1; the numbers are those of H.273).
type Colour struct {
	// Present: the parameter set has a video signal type, and Described: it tells the
	// three numbers. Otherwise these are 2, unspecified.
	Present, Described          bool
	FullRange                   bool
	Primaries, Transfer, Matrix int
}

// ParameterSets are the parameter sets of a stream. The zero value has none.
type ParameterSets struct {
	sps [maxSPS]*sps
	pps [maxSets]*pps
}

// Clone returns a copy, to which a picture may add sets of its own.
func (p *ParameterSets) Clone() *ParameterSets {
	c := *p
	return &c
}

// NAL unit types (Table 7-1).
const (
	nalIRAPFirst = 16
	nalIDRFirst  = 19 // IDR_W_RADL
	nalIDRLast   = 20 // IDR_N_LP
	nalIRAPLast  = 23
	nalSPS       = 33
	nalPPS       = 34
)

// nalHeader reads the two bytes of a NAL unit's header (7.3.1.2).
func nalHeader(nal []byte) (kind, layer int, ok bool) {
	if len(nal) < 3 || nal[0]&0x80 != 0 || nal[1]&7 == 0 {
		return 0, 0, false
	}
	return int(nal[0] >> 1 & 63), int(nal[0]&1)<<5 | int(nal[1]>>3), true
}

// Add takes a NAL unit, without start code or length. What is no sequence or picture
// parameter set of the base layer is passed over. The error is a [FormatError] or
// an [UnsupportedError].
func (p *ParameterSets) Add(nal []byte) error {
	kind, layer, ok := nalHeader(nal)
	if !ok {
		return FormatError("NAL unit without a header")
	}
	if layer != 0 || kind != nalSPS && kind != nalPPS {
		return nil
	}
	r := &bitReader{data: unescape(nil, nal[2:])}
	if kind == nalSPS {
		return p.addSPS(r)
	}
	return p.addPPS(r)
}

func (p *ParameterSets) addSPS(r *bitReader) error {
	r.skip(4)
	subLayers := int(r.u(3)) + 1
	if subLayers > 7 {
		return FormatError("sub-layers of a sequence parameter set")
	}
	r.skip(1)
	profileTierLevel(r, subLayers)
	id, ok := r.upTo(maxSPS - 1)
	if !ok {
		return FormatError("number of a sequence parameter set")
	}
	s := &sps{colour: Colour{Primaries: 2, Transfer: 2, Matrix: 2}}
	if err := s.parse(r, subLayers); err != nil {
		return err
	}
	if r.over {
		return FormatError("sequence parameter set is cut")
	}
	p.sps[id] = s
	return nil
}

// profileTierLevel passes over 7.3.3: what a stream uses is told by its flags.
func profileTierLevel(r *bitReader, subLayers int) {
	r.skip(88 + 8)
	var profile, level [8]bool
	for i := range subLayers - 1 {
		profile[i], level[i] = r.flag(), r.flag()
	}
	if subLayers > 1 {
		r.skip(2 * (8 - (subLayers - 1)))
	}
	for i := range subLayers - 1 {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}

func (s *sps) parse(r *bitReader, subLayers int) error {
	var ok bool
	if s.chroma, ok = r.upTo(3); !ok {
		return FormatError("chroma format")
	}
	s.subW, s.subH = b2i(s.chroma == 1 || s.chroma == 2), b2i(s.chroma == 1)
	cropW, cropH := s.subW, s.subH
	if s.chroma == 3 && r.flag() {
		return UnsupportedError("colour planes coded apart")
	}
	w, okW := r.upTo(maxSide)
	h, okH := r.upTo(maxSide)
	if !okW || !okH || w == 0 || h == 0 {
		return FormatError("size of the picture")
	}
	s.width, s.height = w, h
	if r.flag() {
		for _, o := range []struct {
			at    *int
			shift int
		}{{&s.left, cropW}, {&s.right, cropW}, {&s.top, cropH}, {&s.bottom, cropH}} {
			v, ok := r.upTo(maxSide)
			if !ok {
				return FormatError("conformance window")
			}
			*o.at = v << o.shift
		}
		if s.left+s.right >= w || s.top+s.bottom >= h {
			return FormatError("conformance window leaves nothing")
		}
	}
	s.depth, okW = r.upTo(8)
	s.depthC, okH = r.upTo(8)
	if !okW || !okH {
		return FormatError("bit depth")
	}
	s.depth, s.depthC = s.depth+8, s.depthC+8
	if s.depth > 12 || s.depthC > 12 {
		return UnsupportedError("samples of more than 12 bits")
	}
	if s.log2MaxPOC, ok = r.upTo(12); !ok {
		return FormatError("picture order count")
	}
	s.log2MaxPOC += 4
	n := 1
	if r.flag() {
		n = subLayers
	}
	for range 3 * n {
		r.ue()
	}
	if err := s.blocks(r); err != nil {
		return err
	}
	if s.scalingList = r.flag(); s.scalingList {
		s.lists = defaultLists()
		if r.flag() {
			if s.lists, ok = parseLists(r); !ok {
				return FormatError("scaling lists")
			}
		}
	}
	r.flag() // asymmetric partitions
	s.sao = r.flag()
	if s.pcm = r.flag(); s.pcm {
		s.pcmDepth, s.pcmDepthC = int(r.u(4))+1, int(r.u(4))+1
		minimum, ok1 := r.upTo(2)
		diff, ok2 := r.upTo(2)
		s.log2MinPCM, s.log2MaxPCM = minimum+3, minimum+3+diff
		if !ok1 || !ok2 || s.log2MinPCM < s.log2MinCb || s.log2MaxPCM > min(5, s.log2Ctb) || s.pcmDepth > s.depth || s.pcmDepthC > s.depthC {
			return FormatError("sizes of PCM blocks")
		}
		s.pcmNoFilter = r.flag()
	}
	sets, ok := r.upTo(64)
	if !ok {
		return FormatError("reference picture sets")
	}
	for i := range sets {
		set, ok := refSet(r, s.refSets, i, sets)
		if !ok {
			return FormatError("reference picture set")
		}
		s.refSets = append(s.refSets, set)
	}
	if s.longTerm = r.flag(); s.longTerm {
		if s.longTermSPS, ok = r.upTo(32); !ok {
			return FormatError("long-term reference pictures")
		}
		r.skip(s.longTermSPS * (s.log2MaxPOC + 1))
	}
	s.temporalMVP, s.strongSmoothing = r.flag(), r.flag()
	if r.flag() {
		if !s.vui(r, subLayers) {
			return FormatError("usability information")
		}
	}
	if !r.flag() {
		return nil
	}
	rangeExt, multilayer, threeD, screen := r.flag(), r.flag(), r.flag(), r.flag()
	r.skip(4)
	if rangeExt {
		s.rotateSkip, s.contextSkip, s.implicitRDPCM = r.flag(), r.flag(), r.flag()
		r.flag() // explicit RDPCM is of inter blocks
		if r.flag() {
			return UnsupportedError("extended precision")
		}
		s.noSmoothing = r.flag()
		r.flag() // high precision offsets are of weighted prediction
		s.persistentRice, s.alignBypass = r.flag(), r.flag()
	}
	if multilayer {
		r.flag()
	}
	if threeD {
		return UnsupportedError("3D extension")
	}
	// Current picture referencing, palettes, adaptive motion vector resolution, unfiltered boundaries.
	if screen && r.u(5) != 0 {
		return UnsupportedError("screen content coding")
	}
	return nil
}

// blocks reads the sizes of blocks (7.4.3.2.1).
func (s *sps) blocks(r *bitReader) error {
	minCb, ok1 := r.upTo(3)
	diffCb, ok2 := r.upTo(3)
	minTb, ok3 := r.upTo(3)
	diffTb, ok4 := r.upTo(3)
	_, ok5 := r.upTo(4)
	var ok6 bool
	s.maxDepthIntra, ok6 = r.upTo(4)
	s.log2MinCb, s.log2MinTb = minCb+3, minTb+2
	s.log2Ctb, s.log2MaxTb = s.log2MinCb+diffCb, s.log2MinTb+diffTb
	switch {
	case !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6),
		s.log2Ctb < 4 || s.log2Ctb > 6, s.log2MaxTb > min(s.log2Ctb, 5), s.log2MinTb >= s.log2MinCb,
		s.maxDepthIntra > s.log2Ctb-s.log2MinTb:
		return FormatError("sizes of blocks")
	case s.width&(1<<s.log2MinCb-1) != 0 || s.height&(1<<s.log2MinCb-1) != 0:
		return FormatError("size of the picture is not one of whole blocks")
	}
	s.widthCtbs, s.heightCtbs = (s.width+1<<s.log2Ctb-1)>>s.log2Ctb, (s.height+1<<s.log2Ctb-1)>>s.log2Ctb
	return nil
}

// refSet reads a short-term reference picture set (7.3.7, 7.4.8) and returns its delta POCs.
// Intra pictures have no use for it, but it has to be read to get past it.
func refSet(r *bitReader, sets [][]int, i, n int) ([]int, bool) {
	if i > 0 && r.flag() {
		back := 1
		if i == n {
			v, ok := r.upTo(i - 1)
			if !ok {
				return nil, false
			}
			back = v + 1
		}
		sign := r.bit()
		v, ok := r.upTo(1<<15 - 1)
		if !ok {
			return nil, false
		}
		delta := v + 1
		if sign == 1 {
			delta = -delta
		}
		var set []int
		for _, d := range append(append([]int{}, sets[i-back]...), 0) {
			used := r.flag()
			if use := used || r.flag(); use && d+delta != 0 {
				set = append(set, d+delta)
			}
		}
		return sorted(set), len(set) <= 16 && !r.over
	}
	negative, ok1 := r.upTo(16)
	positive, ok2 := r.upTo(16)
	if !ok1 || !ok2 || negative+positive > 16 {
		return nil, false
	}
	var set []int
	for _, part := range []struct{ n, sign int }{{negative, -1}, {positive, 1}} {
		at := 0
		for range part.n {
			d, ok := r.upTo(1<<15 - 1)
			if !ok {
				return nil, false
			}
			r.flag()
			at += part.sign * (d + 1)
			set = append(set, at)
		}
	}
	return set, !r.over
}

// sorted puts delta POCs in the order of 7.4.8: the negative ones from the nearest on, then the positive ones.
func sorted(set []int) []int {
	key := func(d int) int {
		if d < 0 {
			return -d
		}
		return d + 1<<20
	}
	for i := range set {
		for j := i; j > 0 && key(set[j]) < key(set[j-1]); j-- {
			set[j], set[j-1] = set[j-1], set[j]
		}
	}
	return set
}

// vui reads E.2.1.
func (s *sps) vui(r *bitReader, subLayers int) bool {
	if r.flag() && r.u(8) == 255 {
		r.skip(32)
	}
	if r.flag() {
		r.skip(1)
	}
	if r.flag() {
		r.skip(3)
		s.colour.Present, s.colour.FullRange = true, r.flag()
		if s.colour.Described = r.flag(); s.colour.Described {
			s.colour.Primaries, s.colour.Transfer, s.colour.Matrix = int(r.u(8)), int(r.u(8)), int(r.u(8))
		}
	}
	if r.flag() {
		r.ue()
		r.ue()
	}
	r.skip(3)
	if r.flag() {
		for range 4 {
			r.ue()
		}
	}
	if r.flag() {
		r.skip(64)
		if r.flag() {
			r.ue()
		}
		if r.flag() && !hrd(r, subLayers) {
			return false
		}
	}
	if r.flag() {
		r.skip(3)
		for range 5 {
			r.ue()
		}
	}
	return !r.over
}

// hrd passes over E.2.2.
func hrd(r *bitReader, subLayers int) bool {
	nal, vcl := r.flag(), r.flag()
	subPic := false
	if nal || vcl {
		if subPic = r.flag(); subPic {
			r.skip(8 + 5 + 1 + 5)
		}
		r.skip(8)
		if subPic {
			r.skip(4)
		}
		r.skip(15)
	}
	for range subLayers {
		fixed := r.flag()
		within := fixed || r.flag()
		lowDelay := false
		if within {
			r.ue()
		} else {
			lowDelay = r.flag()
		}
		count := 1
		if !lowDelay {
			c, ok := r.upTo(31)
			if !ok {
				return false
			}
			count = c + 1
		}
		for range count * (b2i(nal) + b2i(vcl)) {
			r.ue()
			r.ue()
			if subPic {
				r.ue()
				r.ue()
			}
			r.skip(1)
		}
	}
	return !r.over
}

func (p *ParameterSets) addPPS(r *bitReader) error {
	id, ok1 := r.upTo(maxSets - 1)
	seq, ok2 := r.upTo(maxSPS - 1)
	if !ok1 || !ok2 {
		return FormatError("number of a picture parameter set")
	}
	s := &pps{sps: seq, columns: 1, rows: 1, uniform: true, acrossTiles: true, log2MaxSkip: 2}
	if err := s.parse(r); err != nil {
		return err
	}
	if r.over {
		return FormatError("picture parameter set is cut")
	}
	p.pps[id] = s
	return nil
}

func (s *pps) parse(r *bitReader) error {
	var ok bool
	s.dependentSlices, s.outputFlag = r.flag(), r.flag()
	s.extraBits = int(r.u(3))
	s.signHiding = r.flag()
	r.flag() // cabac_init_flag is of inter slices
	r.ue()
	r.ue()
	s.initQP = 26 + r.se()
	if s.initQP < -48 || s.initQP > 51 {
		return FormatError("initial QP")
	}
	r.flag() // constrained intra prediction: in intra pictures all neighbours are intra
	s.transformSkip = r.flag()
	if s.cuQPDelta = r.flag(); s.cuQPDelta {
		if s.qpDeltaDepth, ok = r.upTo(3); !ok {
			return FormatError("depth of QP groups")
		}
	}
	s.cbOffset, s.crOffset = r.se(), r.se()
	if !within(s.cbOffset, 12) || !within(s.crOffset, 12) {
		return FormatError("QP offset of chroma")
	}
	s.sliceChromaOffsets = r.flag()
	r.skip(2)
	s.transquantBypass = r.flag()
	s.tiles, s.wavefront = r.flag(), r.flag()
	if s.tiles {
		if err := s.grid(r); err != nil {
			return err
		}
	}
	s.acrossSlices = r.flag()
	if r.flag() {
		s.deblockOverride, s.deblockDisabled = r.flag(), r.flag()
		if !s.deblockDisabled {
			if s.beta, s.tc, ok = deblockOffsets(r); !ok {
				return FormatError("deblocking offsets")
			}
		}
	}
	if s.scalingList = r.flag(); s.scalingList {
		if s.lists, ok = parseLists(r); !ok {
			return FormatError("scaling lists")
		}
	}
	s.listsModification = r.flag()
	r.ue()
	s.headerExtension = r.flag()
	if !r.flag() {
		return nil
	}
	rangeExt := r.flag()
	multilayer, threeD, screen := r.flag(), r.flag(), r.flag()
	r.skip(4)
	if rangeExt {
		if err := s.rangeExtension(r); err != nil {
			return err
		}
	}
	// What is of further layers or of depth maps changes nothing in the base layer's texture.
	// Of screen content: current picture referencing, colour transforms, palette predictors.
	if screen && (multilayer || threeD || r.u(3) != 0) {
		return UnsupportedError("screen content coding")
	}
	return nil
}

func (s *pps) grid(r *bitReader) error {
	columns, ok1 := r.upTo(maxSide >> 4)
	rows, ok2 := r.upTo(maxSide >> 4)
	if !ok1 || !ok2 {
		return FormatError("tiles")
	}
	s.columns, s.rows = columns+1, rows+1
	if s.uniform = r.flag(); !s.uniform {
		for _, part := range []struct {
			n  int
			to *[]int
		}{{columns, &s.columnWidths}, {rows, &s.rowHeights}} {
			for range part.n {
				v, ok := r.upTo(maxSide)
				if !ok {
					return FormatError("tiles")
				}
				*part.to = append(*part.to, v+1)
			}
		}
	}
	s.acrossTiles = r.flag()
	return nil
}

// rangeExtension reads 7.3.2.3.2.
func (s *pps) rangeExtension(r *bitReader) error {
	if s.transformSkip {
		v, ok := r.upTo(3)
		if !ok {
			return FormatError("size of transform skip")
		}
		s.log2MaxSkip = v + 2
	}
	s.crossComponent = r.flag()
	if s.chromaOffsetLists = r.flag(); s.chromaOffsetLists {
		depth, ok1 := r.upTo(3)
		n, ok2 := r.upTo(5)
		if !ok1 || !ok2 {
			return FormatError("lists of chroma QP offsets")
		}
		s.chromaOffsetDepth = depth
		for range n + 1 {
			cb, cr := r.se(), r.se()
			if !within(cb, 12) || !within(cr, 12) {
				return FormatError("lists of chroma QP offsets")
			}
			s.cbList, s.crList = append(s.cbList, cb), append(s.crList, cr)
		}
	}
	var ok1, ok2 bool
	s.saoShift, ok1 = r.upTo(2)
	s.saoShiftC, ok2 = r.upTo(2)
	if !ok1 || !ok2 {
		return FormatError("scale of sample adaptive offsets")
	}
	return nil
}

// deblockOffsets reads the offsets for β and tC and doubles them (7.4.3.3.1).
func deblockOffsets(r *bitReader) (beta, tc int, ok bool) {
	beta, tc = r.se(), r.se()
	return 2 * beta, 2 * tc, within(beta, 6) && within(tc, 6)
}

func within(v, bound int) bool { return -bound <= v && v <= bound }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
