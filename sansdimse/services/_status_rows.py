# ruff: noqa: E501 (one row is one line)
"""The statuses of PS3.7 and PS3.4 as text; ``statuses.py`` reads it when first asked.

A section is one or more ``[service class | DIMSE service | scope]`` ("*": every service class,
PS3.7 9.1 and 10.1), then the rows they share: code or range, elements of group 0000 that may come
with it ("-" for none), meaning. A service without a section has the general statuses only.
"""

ROWS = """\
[* | C-STORE | any SOP Class]
0000 - success
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0122 0902 refused: SOP Class not supported
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
[* | C-FIND | any SOP Class]
[* | C-GET | any SOP Class]
[* | C-MOVE | any SOP Class]
0000 - success
0122 0902 refused: SOP Class not supported
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
FE00 - terminated on a cancel request
[* | C-ECHO | any SOP Class]
0000 - success
0122 0902 refused: SOP Class not supported
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
[* | N-EVENT-REPORT | any SOP Class]
0000 - success
0110 0002,0902,0903,1000 general processing failure
0112 1000 SOP Instance not known
0113 0002,1002 event type not known
0114 0002,1002,1008 argument (event or action information) not recognized
0115 0002,1000,1002,1008 argument value out of range or unsuitable
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0119 0002,1000 SOP Instance does not belong to the SOP Class
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[* | N-GET | any SOP Class]
0000 - success
0107 0002,1000,1005 attribute list warning (older editions: attribute list error): some attributes not recognized, the rest processed
0110 0002,0902,0903,1000 general processing failure
0112 1000 SOP Instance not known
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0119 0002,1000 SOP Instance does not belong to the SOP Class
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[* | N-SET | any SOP Class]
0000 - success
0105 1005 attribute tag not recognized
0106 - attribute value out of range or unsuitable; operation not performed
0107 0002,1000,1005 attribute list warning (older editions: attribute list error): some attributes not recognized, the rest processed
0110 0002,0902,0903,1000 general processing failure
0112 1000 SOP Instance not known
0116 - attribute value out of range; the acceptable values were applied
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0119 0002,1000 SOP Instance does not belong to the SOP Class
0121 - required attribute value missing and no default
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[* | N-ACTION | any SOP Class]
0000 - success
0110 0002,0902,0903,1000 general processing failure
0112 1000 SOP Instance not known
0114 0002,1002,1008 argument (event or action information) not recognized
0115 0002,1000,1002,1008 argument value out of range or unsuitable
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0119 0002,1000 SOP Instance does not belong to the SOP Class
0123 0002,1008 action type not supported
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[* | N-CREATE | any SOP Class]
0000 - success
0105 1005 attribute tag not recognized
0106 - attribute value out of range or unsuitable; operation not performed
0107 0002,1000,1005 attribute list warning (older editions: attribute list error): some attributes not recognized, the rest processed
0110 0002,0902,0903,1000 general processing failure
0111 1000 SOP Instance UID already in use
0116 - attribute value out of range; the acceptable values were applied
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0120 1005 required attribute missing
0121 - required attribute value missing and no default
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[* | N-DELETE | any SOP Class]
0000 - success
0110 0002,0902,0903,1000 general processing failure
0112 1000 SOP Instance not known
0117 1000 invalid SOP Instance: UID breaks the UID construction rules
0118 0002 SOP Class not known
0119 0002,1000 SOP Instance does not belong to the SOP Class
0124 0902 refused: not authorized
0210 - Message ID already in use by an outstanding operation
0211 - operation not agreed for this association / SOP Class
0212 - a parameter supplied was not agreed for this association
0213 - resource limitation
[Verification | C-ECHO | 1.2.840.10008.1.1]
0000 - echo answered
[Storage | C-STORE | Annex B SOP Classes]
A700-A7FF 0902 refused: out of resources
A900-A9FF 0901,0902 data set does not match SOP Class
C000-CFFF 0901,0902 cannot understand
B000 0901,0902 stored, data elements coerced
B007 0901,0902 stored, data set does not match SOP Class
B006 0901,0902 stored, elements discarded
0000 - stored
[Non-Patient Object Storage | C-STORE | Annex GG SOP Classes]
A700 0902 refused: out of resources
A900 0901,0902 data set does not match SOP Class
C000 0901,0902 cannot understand
0000 - stored
[Query/Retrieve | C-FIND | Patient Root, Study Root FIND]
A700 0902 refused: out of resources
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 - matching stopped on cancel request
0000 - matching complete, no identifier
FF00 - match supplied, optional keys treated like required ones
FF01 - match supplied, some optional keys not supported for existence and/or matching
[Query/Retrieve | C-MOVE | Patient Root, Study Root MOVE]
[Hanging Protocol Query/Retrieve | C-MOVE | MOVE]
[Color Palette Query/Retrieve | C-MOVE | MOVE]
[Implant Template Query/Retrieve | C-MOVE | MOVE]
[Defined Procedure Protocol Query/Retrieve | C-MOVE | MOVE]
[Protocol Approval Query/Retrieve | C-MOVE | MOVE]
[Inventory Query/Retrieve | C-MOVE | MOVE]
A701 0902 refused: out of resources, matches cannot be counted
A702 1021,1022,1023 refused: out of resources, sub-operations cannot be performed
A801 0902 refused: move destination unknown
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 1020,1021,1022,1023 sub-operations stopped on cancel request
B000 1021,1022,1023 finished, one or more sub-operations failed (SCP rules add: or had a warning)
0000 1021,1022,1023 all sub-operations done without failure
FF00 1020,1021,1022,1023 sub-operations in progress
[Query/Retrieve | C-GET | Patient Root, Study Root GET]
[Hanging Protocol Query/Retrieve | C-GET | GET]
[Color Palette Query/Retrieve | C-GET | GET]
[Implant Template Query/Retrieve | C-GET | GET]
[Defined Procedure Protocol Query/Retrieve | C-GET | GET]
[Protocol Approval Query/Retrieve | C-GET | GET]
[Inventory Query/Retrieve | C-GET | GET]
A701 0902 refused: out of resources, matches cannot be counted
A702 1021,1022,1023 refused: out of resources, sub-operations cannot be performed
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 1020,1021,1022,1023 sub-operations stopped on cancel request
B000 1021,1022,1023 finished, one or more sub-operations failed or had a warning
0000 1021,1022,1023 all sub-operations done without failure or warning
FF00 1020,1021,1022,1023 sub-operations in progress
[Composite Instance Root Retrieve | C-MOVE | MOVE]
A701 0902 refused: out of resources, matches cannot be counted
A702 1020,1021,1022,1023 refused: out of resources, sub-operations cannot be performed
A801 0902 refused: move destination unknown
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
AA00 0902 none of the requested frames found
AA01 0902 cannot create a new object for this SOP Class
AA02 0902 cannot extract frames
AA03 0902 time based request for an instance that is not time based
AA04 0901,0902 invalid request
FE00 1020,1021,1022,1023 sub-operations stopped on cancel request
B000 1020,1021,1022,1023 finished, one or more sub-operations failed or had a warning
0000 1020,1021,1022,1023 all sub-operations done without failure or warning
FF00 1020,1021,1022,1023 sub-operations in progress
[Composite Instance Root Retrieve | C-GET | GET]
A701 0902 refused: out of resources, matches cannot be counted
A702 1020,1021,1022,1023 refused: out of resources, sub-operations cannot be performed
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
AA00 0902 none of the requested frames found
AA01 0902 cannot create a new object for this SOP Class
AA02 0902 cannot extract frames
AA03 0902 time based request for an instance that is not time based
AA04 0901,0902 invalid request
FE00 1020,1021,1022,1023 sub-operations stopped on cancel request
B000 1020,1021,1022,1023 finished, one or more sub-operations failed or had a warning
0000 1020,1021,1022,1023 all sub-operations done without failure or warning
FF00 1020,1021,1022,1023 sub-operations in progress
[Composite Instance Retrieve Without Bulk Data | C-GET | GET]
A701 0902 refused: out of resources, matches cannot be counted
A702 1020,1021,1022,1023 refused: out of resources, sub-operations cannot be performed
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 1020,1021,1022,1023 sub-operations stopped on cancel request
B000 1020,1021,1022,1023 finished, one or more sub-operations failed or had a warning
0000 1020,1021,1022,1023 all sub-operations done without failure or warning
FF00 1020,1021,1022,1023 sub-operations in progress
[Query/Retrieve | C-FIND | Repository Query]
A700 0902 refused: out of resources
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 - matching stopped on cancel request
0000 - matching complete, no identifier
FF00 - match supplied, optional keys treated like required ones
FF01 - match supplied, some optional keys not supported for existence and/or matching
A710 0901,0902 invalid Prior Record Key
B001 - response limit reached, a further request may return more
[Basic Worklist Management | C-FIND | Modality Worklist FIND]
[Substance Administration Query | C-FIND | Product Characteristics Query, Substance Approval Query]
[Hanging Protocol Query/Retrieve | C-FIND | FIND]
[Color Palette Query/Retrieve | C-FIND | FIND]
[Implant Template Query/Retrieve | C-FIND | Generic, Assembly, Group FIND]
[Defined Procedure Protocol Query/Retrieve | C-FIND | FIND]
[Protocol Approval Query/Retrieve | C-FIND | FIND]
[Inventory Query/Retrieve | C-FIND | FIND]
A700 0902 refused: out of resources
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
FE00 - matching stopped on cancel request
0000 - matching complete, no identifier
FF00 - match supplied, optional keys treated like required ones
FF01 - match supplied, some optional keys not supported for existence
[Relevant Patient Information Query | C-FIND | General, Breast Imaging, Cardiac]
A700 0902 refused: out of resources
A900 0901,0902 data set does not match SOP Class
C000 0901,0902 unable to process
C100 0901,0902 more than one match
C200 0901,0902 requested template not supported
FE00 - matching stopped on cancel request
0000 - matching complete, no identifier
FF00 - the match (at most one)
[Procedure Step | N-CREATE | 1.2.840.10008.3.1.2.3.3]
0106 - status attribute other than IN PROGRESS in the request
[Procedure Step | N-SET | 1.2.840.10008.3.1.2.3.3]
0110 0902,0903 step already COMPLETED or DISCONTINUED, no further update
[Procedure Step | N-GET | 1.2.840.10008.3.1.2.3.4 (Retrieve)]
[Media Creation Management | N-GET | 1.2.840.10008.5.1.1.33]
0001 - requested optional attributes not supported
[Print Management | N-CREATE | Basic Film Session]
[Print Management | N-SET | Basic Film Session]
0000 - film session created/updated
B600 - memory allocation not supported
0106 - requested memory allocation impossible
0213 - requested memory allocation temporarily impossible
[Print Management | N-ACTION | Basic Film Session]
0000 - films of the session accepted for printing; Print Job created if supported
B601 - session printing (collation) not supported
B602 - session holds no image boxes (empty page)
B604 - image larger than image box, demagnified
B609 - image larger than image box, cropped
B60A - image or combined print image larger than image box, decimated
C600 - session holds no film boxes
C601 - no Print Job: print queue full
C603 - image larger than image box
C613 - combined print image larger than image box
[Print Management | N-CREATE | Basic Film Box]
0000 - film box created
B605 - density outside the printer range, nearest limit used
C616 - an unprinted film box exists and session-level N-ACTION is not supported
[Print Management | N-ACTION | Basic Film Box]
0000 - film accepted for printing; Print Job created if supported
B603 - film box holds no image boxes (empty page)
B604 - image larger than image box, demagnified
B609 - image larger than image box, cropped
B60A - image or combined print image larger than image box, decimated
C602 - no Print Job: print queue full
C603 - image larger than image box
C613 - combined print image larger than image box
[Print Management | N-SET | Basic Grayscale Image Box]
0000 - image stored in image box
B604 - image larger than image box, demagnified
B609 - image larger than image box, cropped
B60A - image or combined print image larger than image box, decimated
B605 - density outside the printer range, nearest limit used
C603 - image larger than image box
C605 - printer memory too small for the image
C613 - combined print image larger than image box
[Print Management | N-SET | Basic Color Image Box]
B604 - image larger than image box, demagnified
B609 - image larger than image box, cropped
B60A - image or combined print image larger than image box, decimated
C603 - image larger than image box
C605 - printer memory too small for the image
C613 - combined print image larger than image box
[Print Management | N-CREATE | Presentation LUT]
0000 - Presentation LUT created
B605 - density outside the printer range, nearest limit used
[Print Management | N-ACTION | retired use]
C604 - image position collision
[Print Management | N-SET | retired use]
C606 - more than one VOI LUT box in the image box
[Media Creation Management | N-CREATE | 1.2.840.10008.5.1.1.33]
A510 - an Initiate Media Creation action was already received for this instance
[Media Creation Management | N-ACTION | 1.2.840.10008.5.1.1.33]
C201 - request already completed
C202 - request in progress, cannot be interrupted
C203 - cancellation denied, no reason given
[Application Event Logging | N-ACTION | Procedural Event Logging 1.2.840.10008.1.40]
0000 - logged
B101 - synchronization frame of reference differs from that of the SCP
B102 - logged under another Study Instance UID
B104 - identifiers inconsistent with the current study, logged
C101 - no procedural logging for that Study Instance UID
C102 - event information does not match the template
C103 - event cannot be matched to a current study
C104 - identifiers inconsistent with the current study, not logged
[Application Event Logging | N-ACTION | Substance Administration Logging 1.2.840.10008.1.42]
0000 - logged
C10E - operator not authorized to add to the medication administration record
C110 - patient not identifiable from Patient ID or Admission ID
C111 - update of the medication administration record failed
[Unified Procedure Step | N-ACTION | Pull (action 1 change state)]
0000 - state changed
B304 - already CANCELED
B306 - already COMPLETED
C300 - UPS may no longer be updated
C301 - Transaction UID wrong or missing
C302 - UPS already IN PROGRESS
C303 - SCHEDULED is reachable only by N-CREATE
C304 - final state requirements not met
C307 - no such UPS Instance at this SCP
C310 - UPS not yet IN PROGRESS
[Unified Procedure Step | N-ACTION | Push, Watch (action 2 request cancel)]
0000 - cancel request acknowledged
B304 - already CANCELED
C307 - no such UPS Instance at this SCP
C311 - already COMPLETED
C312 - performer cannot be contacted
C313 - performer chooses not to cancel
[Unified Procedure Step | N-ACTION | Watch (actions 3, 4, 5 subscription)]
0000 - subscription state changed
B301 - deletion lock not granted
C307 - no such UPS Instance at this SCP
C308 - receiving AE title unknown
C314 - action not appropriate for this instance
C315 - SCP does not support event reports
[Unified Procedure Step | N-CREATE | Push]
0000 - UPS created as requested
B300 - UPS created with modifications
C309 - state in the request is not SCHEDULED
[Unified Procedure Step | N-SET | Pull]
0000 - modified
0001 - requested optional attributes not supported
B305 - invalid values coerced to valid ones
C300 - UPS may no longer be updated
C301 - Transaction UID wrong or missing
C307 - no such UPS Instance at this SCP
C310 - UPS not IN PROGRESS
[Unified Procedure Step | N-GET | Push, Pull, Watch]
0001 - requested optional attributes not supported
C307 - no such UPS Instance at this SCP
[Unified Procedure Step | C-FIND | Pull, Watch, Query]
A700 0902 refused: out of resources
A900 0901,0902 identifier/data set does not match SOP Class
C000-CFFF 0901,0902 unable to process
0122 - refused: SOP Class not supported
FE00 - matching stopped on cancel request
0000 - matching complete, no identifier
FF00 - match supplied, optional keys treated like required ones
FF01 - match supplied, some optional keys not supported for existence
[RT Machine Verification | N-CREATE | Conventional and Ion]
0000 - verification instance created
C221 - fraction group not in the referenced plan
C222 - no beams in the referenced fraction group
C223 - already verifying, cannot take this request
C227 - referenced RT Plan not found
[RT Machine Verification | N-SET | Conventional and Ion]
0000 - verification instance updated
C224 - beam number not in the referenced fraction group
C225 - referenced device or accessory not supported
C226 - referenced device or accessory not in the referenced beam
[RT Machine Verification | N-GET | Conventional and Ion]
0000 - verification status returned
C112 - no such machine verification instance
[RT Machine Verification | N-ACTION | Conventional and Ion]
0000 - parameter verification started
C112 - no such machine verification instance
[Storage Management | N-ACTION | Inventory Creation 1.2.840.10008.5.1.4.1.1.201.5]
0000 - request received
B010 1005 some Key Attributes not supported for matching
0110 0902 processing failure
0124 0902 refused: not authorized
0212 0902 a supplied parameter is not agreed (unsupported character set, matching mechanism or inventory level)
0213 0902 resource limitation
"""
