package planlog

// rules switches single rules of the protocol off. Only tests set it: the model
// test must fail without each of them, else the rule, or the test, is dead
// weight. The zero value is production.
type rules struct {
	noAdopt, noSameNumber, noContinuity, noRetake                                        bool // 6
	noWalked, noGap, noAnchor, noZero, noVisibility, noLow, noMoved, noChain, noUnlisted bool // 7
	noFailed, noWait, noVanished, noQuiet, noNonce                                       bool // 3
	noHold, noChecksum                                                                   bool // 4
	noOverlap, noLost                                                                    bool // 5
	noTopicID, noAge, noBelow                                                            bool // 2, 9
	noSecondLook                                                                         bool // 8
	noAsk, noReached                                                                     bool // truncation
	noClear, noStand, noLowest, noGone, noKeep, noLearn, noAside                         bool // 10
}
